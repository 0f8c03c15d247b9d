/** The generated codecs as grpc-js wants them. */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import type * as grpc from "@grpc/grpc-js"

const serialize =
  <D extends DescMessage>(desc: D) =>
  (message: MessageInitShape<D>): Buffer =>
    Buffer.from(toBinary(desc, create(desc, message)))

const deserialize =
  <D extends DescMessage>(desc: D) =>
  (bytes: Buffer): MessageShape<D> =>
    fromBinary(desc, bytes)

/** A method of a generated service. */
export type MethodOf<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I
  readonly output: O
}

/** The method's path and codecs. */
export const definition = <I extends DescMessage, O extends DescMessage>(method: MethodOf<I, O>) => ({
  path: `/${method.parent.typeName}/${method.name}`,
  requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
  responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
  requestSerialize: serialize(method.input),
  requestDeserialize: deserialize(method.input),
  responseSerialize: serialize(method.output),
  responseDeserialize: deserialize(method.output)
})

/** A service as `Server.addService` wants it. */
export const serviceDefinition = (methods: ReadonlyArray<DescMethod>): grpc.ServiceDefinition =>
  Object.fromEntries(methods.map((method) => [method.localName, definition(method)]))
