import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Peer, Signal, HealthVerdict, StateRef } from "trunkline/extend"
import { endpoint } from "../support/endpoints.ts"

const settle = TestClock.adjust(0)
const peer = new Peer.Peer(endpoint("a:1"), 0)

/** Runs a machine, and keeps the instants it was looked at. */
const looks = Effect.fnUntraced(function* (
  next: (now: number) => number,
  peers: Stream.Stream<ReadonlyArray<Peer.Peer>>,
  woken?: StateRef.Writable<void>
) {
  const seen: Array<readonly [peers: number, now: number]> = []
  const verdicts = Signal.driven((peers, now) => {
    seen.push([peers.length, now])
    return { verdicts: new Map(peers.map((peer) => [peer, HealthVerdict.ejected(`at ${now}`)])), next: next(now) }
  }, woken)(peers, () => "Ready")
  const said: Array<string | undefined> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(verdicts, (all) => Effect.sync(() => said.push(all.get(peer)?.cause)))
  )
  yield* settle
  return { fiber, said, seen }
})

const forever = <A>(value: A) => Stream.concat(Stream.make(value), Stream.never)

describe("driven", () => {
  it.effect("looks when peers come, and then at the instants the machine asks for", () =>
    Effect.gen(function* () {
      const { said, seen } = yield* looks((now) => now + 100, forever([peer]))
      yield* TestClock.adjust(99)
      assert.deepStrictEqual(seen, [[1, 0]])
      yield* TestClock.adjust(1)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(seen, [
        [1, 0],
        [1, 100],
        [1, 200]
      ])
      assert.deepStrictEqual(said.slice(-2), ["at 100", "at 200"])
    })
  )

  it.effect("does not look again by itself when the machine asks for no instant", () =>
    Effect.gen(function* () {
      const { seen } = yield* looks(() => Infinity, forever([peer]))
      yield* TestClock.adjust("1 day")
      assert.strictEqual(seen.length, 1)
    })
  )

  it.effect("looks anew when it is woken or the peers change, and forgets the instant asked for before", () =>
    Effect.gen(function* () {
      const woken = StateRef.make<void>(undefined)
      const members = StateRef.make<ReadonlyArray<Peer.Peer>>([peer])
      const { seen } = yield* looks((now) => now + 100, members.changes, woken)
      yield* TestClock.adjust(60)
      seen.length = 0
      woken.set()
      yield* settle
      assert.deepStrictEqual(seen, [[1, 60]])
      yield* TestClock.adjust(30)
      members.set([peer, peer])
      yield* settle
      yield* TestClock.adjust(99)
      assert.deepStrictEqual(seen, [
        [1, 60],
        [2, 90]
      ])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen.at(-1), [2, 190])
    })
  )

  it.effect("leaves no timer behind", () =>
    Effect.gen(function* () {
      const { fiber, seen } = yield* looks((now) => now + 100, forever([peer]))
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(seen.length, 1)
    })
  )
})
