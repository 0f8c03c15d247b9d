/** The interop cases, as calls of grpc-js's own client. */
import * as grpc from "@grpc/grpc-js"
import { type EchoStatus, type Payload, TestService, UnimplementedService } from "../gen/interop_pb.ts"
import type { CaseName } from "./catalogue.ts"
import { exchange, open, unary } from "./grpcjs-calls.ts"
import { channelSoak, rpcSoak } from "./grpcjs-soak.ts"
import type { grpcJsClient } from "./limits.ts"
import * as assert from "node:assert/strict"
import type { Soak } from "./Soak.ts"
import * as Vectors from "./vectors.ts"

const { emptyCall, fullDuplexCall, streamingInputCall, streamingOutputCall, unaryCall, unimplementedCall } =
  TestService.method

/** The server under test. */
export interface GrpcJsPeer {
  readonly client: grpc.Client
  /** A client over connections of its own. */
  readonly another: () => grpc.Client
  readonly concurrentCalls: number
  readonly soak: Soak
}

const isPayload = (payload: Payload | undefined, size: number): void => {
  assert.equal(payload?.body.length, size, "payload size")
  assert.ok(Buffer.alloc(size).equals(payload.body), "payload is zeros")
}

/** A unary call of these sizes, and a look at its payload. */
export const unaryOf = async (client: grpc.Client, sizes: { readonly request: number; readonly response: number }) => {
  const request = { responseSize: sizes.response, payload: Vectors.zeros(sizes.request) }
  const { messages } = await unary(client, unaryCall, request)
  isPayload(messages[0]?.payload, sizes.response)
}

const failsWith = async (call: Promise<unknown>, code: grpc.status, details?: string): Promise<void> => {
  const error = await call.then(
    () => assert.fail(`expected ${grpc.status[code]}, got OK`),
    (error: grpc.ServiceError) => error
  )
  assert.equal(grpc.status[error.code], grpc.status[code])
  if (details !== undefined) assert.equal(error.details, details)
}

const endWith = (message: string): { readonly responseStatus: Pick<EchoStatus, "code" | "message"> } => ({
  responseStatus: { code: Vectors.statusCode, message }
})

const exchangeOf = (index: number) => ({
  payload: Vectors.zeros(Vectors.sizes.requests[index]!),
  responseParameters: [{ size: Vectors.sizes.responses[index]! }]
})

const echoMetadata = () => {
  const metadata = new grpc.Metadata()
  metadata.set(Vectors.echo.initialKey, Vectors.echo.initial)
  metadata.set(Vectors.echo.trailingKey, Buffer.from(Vectors.echo.trailing))
  return metadata
}

const isEcho = (answer: { readonly headers: grpc.Metadata; readonly trailers: grpc.Metadata }): void => {
  assert.deepEqual(answer.headers.get(Vectors.echo.initialKey), [Vectors.echo.initial])
  assert.deepEqual(answer.trailers.get(Vectors.echo.trailingKey), [Buffer.from(Vectors.echo.trailing)])
}

/** The cases that grpc-js can ask. */
export type GrpcJsCase = Exclude<CaseName, keyof typeof grpcJsClient>

/** Resolves when the case holds. */
export const grpcJsCases: Readonly<Record<GrpcJsCase, (peer: GrpcJsPeer) => Promise<unknown>>> = {
  empty_unary: ({ client }) => unary(client, emptyCall, {}),

  large_unary: ({ client }) => unaryOf(client, Vectors.large),

  very_large_request: ({ client }) => unaryOf(client, Vectors.veryLarge),

  client_streaming: async ({ client }) => {
    const requests = Vectors.sizes.requests.map((size) => ({ payload: Vectors.zeros(size) }))
    const { messages } = await exchange(client, streamingInputCall, requests)
    assert.deepEqual(
      messages.map((message) => message.aggregatedPayloadSize),
      [Vectors.sizes.sumOfRequests]
    )
  },

  server_streaming: async ({ client }) => {
    const responseParameters = Vectors.sizes.responses.map((size) => ({ size }))
    const { messages } = await exchange(client, streamingOutputCall, [{ responseParameters }])
    assert.equal(messages.length, Vectors.sizes.responses.length)
    messages.forEach(({ payload }, index) => isPayload(payload, Vectors.sizes.responses[index]!))
  },

  ping_pong: async ({ client }) => {
    const call = open(client, fullDuplexCall, {
      onMessage: (_, index) =>
        index + 1 < Vectors.sizes.requests.length ? call.write(exchangeOf(index + 1)) : call.end()
    })
    call.write(exchangeOf(0))
    const { messages } = await call.answer
    assert.equal(messages.length, Vectors.sizes.responses.length)
    messages.forEach(({ payload }, index) => isPayload(payload, Vectors.sizes.responses[index]!))
  },

  empty_stream: async ({ client }) => {
    const { messages } = await exchange(client, fullDuplexCall, [])
    assert.equal(messages.length, 0)
  },

  custom_metadata: async ({ client }) => {
    const payload = Vectors.zeros(Vectors.large.request)
    const metadata = echoMetadata()
    isEcho(await unary(client, unaryCall, { responseSize: Vectors.large.response, payload }, { metadata }))
    const request = { payload, responseParameters: [{ size: Vectors.large.response }] }
    isEcho(await exchange(client, fullDuplexCall, [request], { metadata }))
  },

  status_code_and_message: async ({ client }) => {
    const request = endWith(Vectors.statusMessage)
    await failsWith(unary(client, unaryCall, request), grpc.status.UNKNOWN, Vectors.statusMessage)
    await failsWith(exchange(client, fullDuplexCall, [request]), grpc.status.UNKNOWN, Vectors.statusMessage)
  },

  special_status_message: ({ client }) =>
    failsWith(unary(client, unaryCall, endWith(Vectors.specialMessage)), grpc.status.UNKNOWN, Vectors.specialMessage),

  unimplemented_method: ({ client }) => failsWith(unary(client, unimplementedCall, {}), grpc.status.UNIMPLEMENTED),

  unimplemented_service: ({ client }) =>
    failsWith(unary(client, UnimplementedService.method.unimplementedCall, {}), grpc.status.UNIMPLEMENTED),

  cancel_after_begin: ({ client }) => {
    const call = open(client, streamingInputCall)
    call.cancel()
    return failsWith(call.answer, grpc.status.CANCELLED)
  },

  cancel_after_first_response: async ({ client }) => {
    const sizes: Array<number | undefined> = []
    const call = open(client, fullDuplexCall, {
      onMessage: ({ payload }) => {
        sizes.push(payload?.body.length)
        call.cancel()
      }
    })
    call.write(exchangeOf(0))
    await failsWith(call.answer, grpc.status.CANCELLED)
    assert.deepEqual(sizes, [Vectors.sizes.responses[0]])
  },

  timeout_on_sleeping_server: ({ client }) => {
    const call = open(client, fullDuplexCall, { deadline: Date.now() + Vectors.shortTimeout })
    call.write({ payload: Vectors.zeros(Vectors.sizes.requests[0]!) })
    return failsWith(call.answer, grpc.status.DEADLINE_EXCEEDED)
  },

  concurrent_large_unary: ({ client, concurrentCalls }) =>
    Promise.all(Array.from({ length: concurrentCalls }, () => unaryOf(client, Vectors.large))),

  pick_first_unary: async ({ client }) => {
    const ids = new Set<string | undefined>()
    for (let i = 0; i < Vectors.pickFirstCalls; i++) {
      const { messages } = await unary(client, unaryCall, { responseSize: 1, fillServerId: true })
      ids.add(messages[0]?.serverId)
    }
    assert.ok(!ids.has(""), "the server says who it is")
    assert.equal(ids.size, 1, "servers that answered")
  },

  rpc_soak: ({ client, soak }) => rpcSoak(soak, client),

  channel_soak: ({ another, soak }) => channelSoak(soak, another)
}
