/** One service as the generators other than protoc-gen-es would describe it, written by hand in the shapes they print. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { EchoRequestSchema, EchoResponseSchema } from "../gen/echo_pb.ts"

export interface Request {
  text: string
  count: number
}

export interface Response {
  text: string
  index: number
}

const requestBytes = ({ count, text }: Partial<Request>) =>
  Buffer.from(toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: text ?? "", count: count ?? 0 })))
const request = (bytes: Uint8Array): Request => fromBinary(EchoRequestSchema, bytes)
const responseBytes = ({ index, text }: Partial<Response>) =>
  Buffer.from(toBinary(EchoResponseSchema, create(EchoResponseSchema, { text: text ?? "", index: index ?? 0 })))
const response = (bytes: Uint8Array): Response => fromBinary(EchoResponseSchema, bytes)

// ---------------------------------------------------------------------------------------------------------------------
// ts-proto, outputServices=generic-definitions
// ---------------------------------------------------------------------------------------------------------------------

/** Its encoders return a writer, its decoders take a reader as well. */
interface MessageFns<T> {
  encode(message: T, writer?: { finish(): Uint8Array }): { finish(): Uint8Array }
  decode(input: Uint8Array | { readonly buf: Uint8Array }, length?: number): T
  fromPartial(object: Partial<T>): T
}

const EchoRequest: MessageFns<Request> = {
  encode: (message) => ({ finish: () => requestBytes(message) }),
  decode: (input) => request(input instanceof Uint8Array ? input : input.buf),
  fromPartial: (object) => ({ text: "", count: 0, ...object })
}

const EchoResponse: MessageFns<Response> = {
  encode: (message) => ({ finish: () => responseBytes(message) }),
  decode: (input) => response(input instanceof Uint8Array ? input : input.buf),
  fromPartial: (object) => ({ text: "", index: 0, ...object })
}

export const generic = {
  name: "EchoService",
  fullName: "trunkline.test.EchoService",
  methods: {
    echo: {
      name: "Echo",
      requestType: EchoRequest,
      requestStream: false,
      responseType: EchoResponse,
      responseStream: false,
      options: {}
    },
    expand: {
      name: "Expand",
      requestType: EchoRequest,
      requestStream: false,
      responseType: EchoResponse,
      responseStream: true,
      options: {}
    },
    collect: {
      name: "Collect",
      requestType: EchoRequest,
      requestStream: true,
      responseType: EchoResponse,
      responseStream: false,
      options: { idempotencyLevel: "IDEMPOTENT" }
    },
    chat: {
      name: "Chat",
      requestType: EchoRequest,
      requestStream: true,
      responseType: EchoResponse,
      responseStream: true,
      options: {}
    },
    lookup: {
      name: "Lookup",
      requestType: EchoRequest,
      requestStream: false,
      responseType: EchoResponse,
      responseStream: false,
      options: { idempotencyLevel: "NO_SIDE_EFFECTS" }
    }
  }
} as const

// ---------------------------------------------------------------------------------------------------------------------
// proto-loader and its generator of types
// ---------------------------------------------------------------------------------------------------------------------

type Serialize<T> = (value: T) => Buffer
type Deserialize<T> = (bytes: Buffer) => T

/** `MethodDefinition` of @grpc/proto-loader: flags are booleans, and what is sent may leave out fields. */
export interface MethodDefinition<In, Out, InOutput = In, OutOutput = Out> {
  path: string
  requestStream: boolean
  responseStream: boolean
  requestSerialize: Serialize<In>
  responseSerialize: Serialize<Out>
  requestDeserialize: Deserialize<InOutput>
  responseDeserialize: Deserialize<OutOutput>
  originalName?: string
  options?: object
}

/** `ServiceDefinition` of @grpc/grpc-js. */
export interface ServiceDefinition {
  // oxlint-disable-next-line typescript/no-explicit-any -- as grpc-js declares it
  readonly [index: string]: MethodDefinition<any, any>
}

/** As proto-loader-gen-types prints it. */
export interface EchoDefinition extends ServiceDefinition {
  Echo: MethodDefinition<Partial<Request>, Partial<Response>, Request, Response>
  Expand: MethodDefinition<Partial<Request>, Partial<Response>, Request, Response>
  Collect: MethodDefinition<Partial<Request>, Partial<Response>, Request, Response>
  Chat: MethodDefinition<Partial<Request>, Partial<Response>, Request, Response>
  Lookup: MethodDefinition<Partial<Request>, Partial<Response>, Request, Response>
}

const method = (
  name: string,
  requestStream: boolean,
  responseStream: boolean,
  level: string | number = "IDEMPOTENCY_UNKNOWN"
) => ({
  path: `/trunkline.test.EchoService/${name}`,
  requestStream,
  responseStream,
  requestSerialize: requestBytes,
  requestDeserialize: request,
  responseSerialize: responseBytes,
  responseDeserialize: response,
  originalName: name.toLowerCase(),
  options: { deprecated: false, idempotency_level: level, uninterpreted_option: [] }
})

export const loaded: EchoDefinition = {
  Echo: method("Echo", false, false),
  Expand: method("Expand", false, true),
  Collect: method("Collect", true, false, 2),
  Chat: method("Chat", true, true),
  Lookup: method("Lookup", false, false, "NO_SIDE_EFFECTS")
}

/** A client class, as `loadPackageDefinition` makes one. */
export const EchoClient: { new (): object; service: EchoDefinition } = class {
  static readonly service = loaded
}
