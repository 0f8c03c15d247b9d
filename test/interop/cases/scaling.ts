/** More connections where a server takes few calls on each (gRFC A105). */
import { type Cause, Effect, Queue, Stream } from "effect"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"

/** Three calls held open together: two share a connection, the third has one of its own. */
export const connectionScaling = Effect.fnUntraced(function* ({ scaling }: Peer) {
  const test = yield* scaling
  // A connection's limit is known when its first call is over.
  yield* test.emptyCall({})
  const request = { responseParameters: [{ size: 1, fillPeerSocketAddress: { value: true } }] }

  /** Begins a call, says over which connection it went, and leaves it open. */
  const hold = Effect.gen(function* () {
    const requests = yield* Queue.unbounded<typeof request, Cause.Done>()
    yield* Queue.offer(requests, request)
    const answers = yield* Stream.toQueue(test.fullDuplexCall(Stream.fromQueue(requests)), { capacity: 1 })
    const { peerSocketAddress } = yield* Effect.orDie(Queue.take(answers))
    return { from: peerSocketAddress, answers, end: Queue.end(requests) }
  })
  const first = yield* hold
  const second = yield* hold
  const third = yield* hold
  yield* Expect.equal("the first call says from where it came", first.from !== "", true)
  yield* Expect.equal("the second call's connection", second.from, first.from)
  yield* Expect.equal("the third call has another", third.from !== first.from, true)
  for (const call of [first, second, third]) {
    yield* call.end
    yield* Effect.ignore(Queue.await(call.answers))
  }
}, Effect.scoped)
