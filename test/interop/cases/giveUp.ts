/** The cases of calls this side ends. Cancelling is interrupting, so a cancelled call's caller sees its own interruption. */
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { CallOptions } from "trunkline"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import { shortTimeout, sizes, zeros } from "../vectors.ts"
import { exchange } from "./streaming.ts"

export const cancelAfterBegin = Effect.fnUntraced(function* ({ test }: Peer) {
  const begun = yield* Deferred.make<void>()
  // Requests are asked for once the call has begun; there are none.
  const requests = Stream.concat(Stream.fromEffectDrain(Deferred.succeed(begun, undefined)), Stream.never)
  const call = yield* Effect.forkChild(test.streamingInputCall(requests))
  yield* Deferred.await(begun)
  yield* Fiber.interrupt(call)
  const exit = yield* Fiber.await(call)
  yield* Expect.equal("interrupted", Exit.hasInterrupts(exit), true)
})

export const cancelAfterFirstResponse = Effect.fnUntraced(function* ({ test }: Peer) {
  const requests = Stream.concat(Stream.make(exchange(0)), Stream.never)
  const trailers = yield* Effect.gen(function* () {
    const response = yield* test.fullDuplexCall.response(requests)
    const [first] = yield* Stream.runCollect(Stream.take(response.messages, 1))
    yield* Expect.payload(first?.payload, sizes.responses[0]!)
    return response.trailers
  }).pipe(Effect.scoped)
  yield* Expect.status("the call left", trailers, "CANCELLED")
})

export const timeoutOnSleepingServer = ({ test }: Peer) => {
  const requests = Stream.concat(Stream.make({ payload: zeros(sizes.requests[0]!) }), Stream.never)
  const call = Stream.runDrain(test.fullDuplexCall(requests)).pipe(CallOptions.withDeadline(shortTimeout))
  return Expect.status("a call out of time", call, "DEADLINE_EXCEEDED")
}
