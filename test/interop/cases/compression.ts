/** The cases of messages that are compressed or not, each as it was asked for. */
import { Effect, Stream } from "effect"
import { CallOptions, Compression } from "trunkline"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import { compressedSizes, large, zeros } from "../vectors.ts"

const compressed = CallOptions.withCompression("gzip")

const unary = (expected: boolean) => ({
  responseSize: large.response,
  payload: zeros(large.request),
  expectCompressed: { value: expected }
})

const part = (size: number, expected: boolean) => ({ payload: zeros(size), expectCompressed: { value: expected } })

export const clientCompressedUnaryNoProbe = Effect.fnUntraced(function* ({ test }: Peer) {
  const first = yield* test.unaryCall(unary(true))
  yield* Expect.payload(first.payload, large.response)
  const second = yield* test.unaryCall(Compression.uncompressed(unary(false)))
  yield* Expect.payload(second.payload, large.response)
}, compressed)

/** A server that does not see how a message came would say yes to anything. */
export const clientCompressedUnary = (peer: Peer) =>
  Effect.andThen(
    Expect.status("the probe", peer.test.unaryCall(unary(true)), "INVALID_ARGUMENT"),
    clientCompressedUnaryNoProbe(peer)
  )

export const clientCompressedStreamingNoProbe = Effect.fnUntraced(function* ({ test }: Peer) {
  const [first, second] = compressedSizes.requests
  const requests = Stream.make(part(first, true), Compression.uncompressed(part(second, false)))
  const { aggregatedPayloadSize } = yield* test.streamingInputCall(requests)
  yield* Expect.equal("sum of sizes", aggregatedPayloadSize, first + second)
}, compressed)

export const clientCompressedStreaming = (peer: Peer) => {
  const probe = peer.test.streamingInputCall(Stream.make(part(compressedSizes.requests[0], true)))
  return Effect.andThen(Expect.status("the probe", probe, "INVALID_ARGUMENT"), clientCompressedStreamingNoProbe(peer))
}

export const serverCompressedUnary = Effect.fnUntraced(function* ({ test }: Peer) {
  for (const value of [true, false]) {
    const request = { responseSize: large.response, payload: zeros(large.request), responseCompressed: { value } }
    const response = yield* test.unaryCall(request)
    yield* Expect.payload(response.payload, large.response)
    yield* Expect.equal("compressed", Compression.arrivedCompressed(response), value)
  }
})

export const serverCompressedStreaming = Effect.fnUntraced(function* ({ test }: Peer) {
  const [first, second] = compressedSizes.responses
  const responseParameters = [
    { size: first, compressed: { value: true } },
    { size: second, compressed: { value: false } }
  ]
  const responses = yield* Stream.runCollect(test.streamingOutputCall({ responseParameters }))
  yield* Expect.equal("compressed", responses.map(Compression.arrivedCompressed), [true, false])
  yield* Expect.payload(responses[0]?.payload, first)
  yield* Expect.payload(responses[1]?.payload, second)
})
