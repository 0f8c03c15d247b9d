/** The cases of streaming calls. */
import { type Cause, Effect, Queue, Stream } from "effect"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import { sizes, zeros } from "../vectors.ts"

/** A request to be answered once, with a payload of this size. */
export const exchange = (index: number) => ({
  payload: zeros(sizes.requests[index]!),
  responseParameters: [{ size: sizes.responses[index]! }]
})

export const clientStreaming = Effect.fnUntraced(function* ({ test }: Peer) {
  const requests = Stream.map(Stream.fromIterable(sizes.requests), (size) => ({ payload: zeros(size) }))
  const { aggregatedPayloadSize } = yield* test.streamingInputCall(requests)
  yield* Expect.equal("sum of sizes", aggregatedPayloadSize, sizes.sumOfRequests)
})

export const serverStreaming = Effect.fnUntraced(function* ({ test }: Peer) {
  const responses = yield* Stream.runCollect(
    test.streamingOutputCall({ responseParameters: sizes.responses.map((size) => ({ size })) })
  )
  yield* Expect.equal("responses", responses.length, sizes.responses.length)
  for (const [index, response] of responses.entries()) yield* Expect.payload(response.payload, sizes.responses[index]!)
})

/** A request is sent when the response to the one before it is there. */
export const pingPong = Effect.fnUntraced(function* ({ test }: Peer) {
  const requests = yield* Queue.unbounded<ReturnType<typeof exchange>, Cause.Done>()
  yield* Queue.offer(requests, exchange(0))
  const answered = yield* Stream.runFoldEffect(
    test.fullDuplexCall(Stream.fromQueue(requests)),
    () => 0,
    Effect.fnUntraced(function* (index, response) {
      yield* Expect.payload(response.payload, sizes.responses[index] ?? 0)
      const next = index + 1
      yield* next < sizes.requests.length ? Queue.offer(requests, exchange(next)) : Queue.end(requests)
      return next
    })
  )
  yield* Expect.equal("responses", answered, sizes.responses.length)
})

export const emptyStream = Effect.fnUntraced(function* ({ test }: Peer) {
  const responses = yield* Stream.runCollect(test.fullDuplexCall(Stream.empty))
  yield* Expect.equal("responses", responses.length, 0)
})
