import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { SlowStart } from "trunkline"
import { connect, connected, detect, disconnect, settle } from "../support/detect.ts"

/** Steps of one second. */
const window = { window: "20 seconds" } as const

const weights = Effect.fnUntraced(function* (
  options: Parameters<typeof SlowStart.make>[0],
  instants: ReadonlyArray<number>
) {
  const peer = connected("a:1")
  const { weightOf } = yield* detect(SlowStart.make(options), peer)
  const seen: Array<number> = []
  for (const instant of instants) {
    yield* TestClock.setTime(instant)
    yield* settle
    seen.push(Number(weightOf(peer).toFixed(6)))
  }
  return seen
})

describe("SlowStart", () => {
  it.effect("raises the weight in steps over the window, and not a millisecond sooner", () =>
    Effect.gen(function* () {
      const instants = [0, 1999, 2000, 2999, 3000, 9999, 10_000, 18_999, 19_000, 19_999, 20_000, 60_000]
      const seen = yield* weights(window, instants)
      assert.deepStrictEqual(seen, [0.1, 0.1, 0.1, 0.1, 0.15, 0.45, 0.5, 0.9, 0.95, 0.95, 1, 1])
    })
  )

  it.effect("never is below the least weight", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* weights({ ...window, least: 0.4 }, [0, 7999, 9000]), [0.4, 0.4, 0.45])
    })
  )

  it.effect("rises sooner with more aggression", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* weights({ ...window, aggression: 2 }, [0, 1000, 5000, 20_000]),
        [0.1, 0.223607, 0.5, 1]
      )
    })
  )

  it.effect("gives a peer its least weight before it is connected, so that it does not begin with all of it", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      disconnect(peer)
      const { emitted, tell, verdictOf, weightOf } = yield* detect(SlowStart.make(window), peer)
      const cold = verdictOf(peer)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(weightOf(peer), 0.1)
      connect(peer)
      yield* tell()
      // The same verdict: becoming ready needs no second picker.
      assert.strictEqual(verdictOf(peer), cold)
      const before = emitted()
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(weightOf(peer), 1)
      assert.isAtMost(emitted() - before, 21)
    })
  )

  it.effect("counts from when a peer may be sent calls, whoever kept them from it", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      const { stand, tell, weightOf } = yield* detect(SlowStart.make(window), peer)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(weightOf(peer), 1)
      stand(peer, "Ejected")
      yield* tell()
      assert.strictEqual(weightOf(peer), 0.1)
      yield* TestClock.adjust("1 minute")
      // The one call of a peer on probation is not kept waiting.
      stand(peer, "Probe")
      yield* tell()
      assert.strictEqual(weightOf(peer), 1)
      stand(peer, "Ready")
      yield* tell()
      yield* TestClock.adjust(9999)
      assert.strictEqual(weightOf(peer), 0.45)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(weightOf(peer), 0.5)
      disconnect(peer)
      connect(peer)
      // Lost and back in one instant is seen as nothing: who could have measured anything in between?
      yield* tell()
      assert.strictEqual(weightOf(peer), 0.5)
    })
  )

  it.effect("moves all weights at the same instants", () =>
    Effect.gen(function* () {
      const peers = Array.from({ length: 50 }, (_, i) => connected(`h${i}:1`))
      const { emitted, tell } = yield* detect(SlowStart.make(window), ...peers.slice(0, 1))
      for (let i = 1; i < 50; i++) {
        yield* TestClock.adjust(13)
        yield* tell(peers.slice(0, i + 1))
      }
      const before = emitted()
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(emitted() - before, 22)
    })
  )
})
