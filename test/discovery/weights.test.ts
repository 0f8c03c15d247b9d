/** Weights are refused where an endpoint is made, and add up where one is listed twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import { Endpoint, EndpointList, StaticDiscovery } from "trunkline"
import { Discovery } from "trunkline/extend"

const address = (host: string) => Endpoint.Address.Tcp({ host, port: 1 })
const made = (host: string, attributes?: Endpoint.Attributes) => Endpoint.make(address(host), attributes)
const bad = [NaN, -1, -1e-300, Infinity, -Infinity]
const good = [0, Number.MIN_VALUE, 0.5, 1, 2 ** 32, Number.MAX_VALUE]

describe("a weight that cannot be one", () => {
  it.each(bad)("%d is refused by name", (weight) => {
    const error = Result.getOrThrow(Result.flip(Endpoint.checked(made("a", { weight }))))
    assert.instanceOf(error, Endpoint.WeightError)
    assert.strictEqual(error.message, `weight of a:1: ${weight} is not a finite number of 0 or more`)
  })

  it.each(good)("%d is none of them", (weight) => {
    const endpoint = made("a", { weight })
    assert.strictEqual(Result.getOrThrow(Endpoint.checked(endpoint)), endpoint)
    assert.strictEqual(endpoint.weight, weight)
  })

  it.effect.each(bad)("%d fails a static list and an update of a list, by name", (weight) =>
    Effect.gen(function* () {
      const wrong = { ...made("a"), weight }
      const subscribed = yield* Effect.flip(StaticDiscovery.make(["b:1", wrong]).subscribe(Stream.never))
      assert(subscribed instanceof Discovery.DiscoveryError)
      assert.include(subscribed.message, "weight of a:1: ")
      assert.instanceOf(subscribed.cause, Endpoint.WeightError)
      const list = yield* EndpointList.make("hosts", ["b:1"])
      const { problems } = yield* Effect.flip(list.update({ additions: [wrong, "c:1"] }))
      assert.deepStrictEqual(
        problems.map(({ _tag }) => _tag),
        ["WeightError"]
      )
      assert.deepStrictEqual(
        (yield* list.endpoints).map(({ id }) => id),
        ["b:1", "c:1"]
      )
    })
  )

  it("is left out of a set, which is used for the rest", () => {
    const { endpoints, refused } = Endpoint.merge([
      ...bad.map((weight, i) => ({ ...made(`p${i}`), weight })),
      made("a"),
      // What JavaScript without types may hand over.
      { ...made("b"), weight: JSON.parse('"3"') }
    ])
    assert.deepStrictEqual(
      endpoints.map(({ id }) => id),
      ["a:1"]
    )
    assert.deepStrictEqual(
      refused.map(({ peer }) => peer),
      [...bad.map((_, i) => `p${i}:1`), "b:1"]
    )
  })
})

describe("an address that is listed twice", () => {
  it("is one backend: weights add up, the rest is the first listing's", () => {
    const first = made("a", { weight: 3, locality: "x", priority: 1, authority: "one" })
    const single = made("b", { weight: 0 })
    const second = made("a", { weight: 0.5, locality: "y", priority: 0, authority: "two" })
    const { endpoints } = Endpoint.merge([first, single, second, made("a", { weight: 0 })])
    assert.deepStrictEqual(endpoints, [{ ...first, weight: 3.5 }, single])
    assert.strictEqual(endpoints[1], single)
  })

  it("never comes to more than a number can be", () => {
    const most = made("a", { weight: Number.MAX_VALUE })
    assert.strictEqual(Endpoint.merge([most, most]).endpoints[0]!.weight, Number.MAX_VALUE)
  })

  it.effect("is one backend of a static list too", () =>
    Effect.gen(function* () {
      const found = yield* StaticDiscovery.make(["a:1", "b:1", "dns:///A:1"]).subscribe(Stream.never)
      const [endpoints] = yield* Stream.runCollect(Stream.take(found, 1))
      assert.deepStrictEqual(
        endpoints!.map(({ id, weight }) => [id, weight]),
        [
          ["a:1", 2],
          ["b:1", 1]
        ]
      )
    })
  )
})
