/** Which channel a call gets, with chances that the test names. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import type { Channel } from "../../src/channelpool/Channel.ts"
import * as Pick from "../../src/channelpool/ChannelPick.ts"

const penalty = { step: 5, cap: 25, millis: 5000 }

const channel = (id: number, facts?: { readonly cost?: number; readonly keys?: number; readonly ready?: boolean }) =>
  ({ id, keys: facts?.keys ?? 0, isReady: facts?.ready ?? true, cost: () => facts?.cost ?? 0 }) as unknown as Channel

/** A source that says these places of a list of so many, one after another. */
const indexes = (length: number, places: ReadonlyArray<number>): Random.Random => {
  let next = 0
  return { nextDoubleUnsafe: () => places[next++ % places.length]! / length } as unknown as Random.Random
}

const picked = (channels: ReadonlyArray<Channel>, places: ReadonlyArray<number>) =>
  Pick.powerOfTwo({ active: channels, penalty, random: indexes(channels.length, places) }, 0)?.id

describe("the less busy of two", () => {
  it.each([
    { what: "the first sample wins a tie", costs: [0, 0], places: [0, 1], id: 0 },
    { what: "whichever it is", costs: [0, 0], places: [1, 0], id: 1 },
    { what: "the second if it is less busy", costs: [3, 2], places: [0, 1], id: 1 },
    { what: "the same twice is that one", costs: [3, 0], places: [0, 0], id: 0 }
  ])("$what", ({ costs, id, places }) => {
    assert.strictEqual(
      picked(
        costs.map((cost, id) => channel(id, { cost })),
        places
      ),
      id
    )
  })

  it("looks again when a sample is not ready", () => {
    const channels = [channel(0, { ready: false }), channel(1, { cost: 9 }), channel(2, { cost: 1 })]
    assert.strictEqual(picked(channels, [0, 1, 0, 2]), 2)
  })

  it("looks at all of them when every sample was not ready, and finds none only if there is none", () => {
    assert.strictEqual(picked([channel(0, { ready: false }), channel(1)], [0]), 1)
    assert.strictEqual(picked([channel(0, { ready: false })], [0]), undefined)
    assert.strictEqual(picked([], [0]), undefined)
  })

  it.effect("must not happen: a channel that answered last wins every tie and starves the others", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      const channels = [channel(0), channel(1)]
      let warm = 0
      for (let i = 0; i < 200; i++) if (Pick.powerOfTwo({ active: channels, penalty, random }, 0)?.id === 0) warm++
      assert.isTrue(warm >= 60 && warm <= 140, `${warm} of 200`)
    }).pipe(Random.withSeed("warm"))
  )
})

describe("the least busy of all", () => {
  it.each([
    { what: "by load", channels: [channel(0, { cost: 2 }), channel(1, { cost: 1 })], id: 1 },
    { what: "of equals the one with the fewest keys", channels: [channel(0, { keys: 2 }), channel(1)], id: 1 },
    { what: "of those the oldest", channels: [channel(0), channel(1)], id: 0 },
    { what: "that is ready", channels: [channel(0, { ready: false }), channel(1, { cost: 9 })], id: 1 },
    { what: "if one is", channels: [channel(0, { ready: false })], id: undefined }
  ])("$what", ({ channels, id }) => {
    assert.strictEqual(Pick.leastLoaded({ active: channels, penalty }, 0)?.id, id)
  })

  it("but one", () => {
    const channels = [channel(0), channel(1, { cost: 9 })]
    assert.strictEqual(Pick.leastLoaded({ active: channels, penalty }, 0, channels[0])?.id, 1)
    assert.strictEqual(Pick.leastLoaded({ active: [channels[0]!], penalty }, 0, channels[0]), undefined)
  })
})

it("turns pass over what is not ready", () => {
  const channels = [channel(0), channel(1, { ready: false }), channel(2)]
  assert.deepStrictEqual(
    [0, 1, 2, 3].map((turn) => Pick.roundRobin(channels, turn)?.id),
    [0, 2, 2, 0]
  )
  assert.strictEqual(Pick.roundRobin([], 5), undefined)
})
