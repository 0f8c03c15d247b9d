import { assert, describe, it } from "@effect/vitest"
import { create } from "@bufbuild/protobuf"
import { Result } from "effect"
import * as AffinityRule from "../../src/affinity/AffinityRule.ts"
import { BasketSchema, FruitSchema } from "../gen/orchard/fruit_pb.ts"
import { Orchard } from "../gen/orchard/orchard_pb.ts"

/** Methods over messages that have what a path may go through. */
const Fruits: AffinityRule.ServiceDescriptor = {
  typeName: "demo.Fruits",
  methods: [{ name: "Fill", input: FruitSchema, output: BasketSchema }]
}

const make = (method: string, command: AffinityRule.Command, key: string) =>
  AffinityRule.make([{ method, command, key }], [Orchard, Fruits])

const rule = (method: string, command: AffinityRule.Command, key: string): AffinityRule.Rule =>
  Result.getOrThrow(make(method, command, key)).get(`/${method.replace(/^\//, "")}`)!

describe("a path", () => {
  it("leads to a field of a message, complete or as callers write it", () => {
    const { keys } = rule("/demo.Fruits/Fill", "BOUND", "name")
    assert.deepStrictEqual(keys(create(FruitSchema, { name: "pear" })), ["pear"])
    assert.deepStrictEqual(keys({ name: "pear" }), ["pear"])
    assert.deepStrictEqual(keys({}), [])
    assert.deepStrictEqual(keys({ name: "" }), [])
  })

  it("goes through messages", () => {
    const { keys } = rule("trunkline.test.orchard.Orchard/Pick", "BOUND", "sticker.text")
    assert.deepStrictEqual(keys({ sticker: { text: "ripe" } }), ["ripe"])
    assert.deepStrictEqual(keys({}), [])
  })

  it("goes through repeated fields to many keys", () => {
    const { keys } = rule("demo.Fruits/Fill", "BIND", "fruits.name")
    assert.deepStrictEqual(keys({ fruits: [{ name: "pear" }, {}, { name: "fig" }] }), ["pear", "fig"])
  })

  it("finds a member of a oneof only when it is the one", () => {
    const { keys } = rule("demo.Fruits/Fill", "BOUND", "painted")
    assert.deepStrictEqual(keys({ colour: { case: "painted", value: "red" } }), ["red"])
    assert.deepStrictEqual(keys({ colour: { case: "wavelength", value: 700 } }), [])
    assert.deepStrictEqual(keys(create(FruitSchema)), [])
  })

  it("is followed in the response of a method that binds, and in the request of others", () => {
    assert.isTrue(Result.isSuccess(make("demo.Fruits/Fill", "UNBIND", "name")))
    assert.isTrue(Result.isFailure(make("demo.Fruits/Fill", "BIND", "name")))
  })
})

describe("a rule that would never do anything is refused", () => {
  it.each([
    { method: "demo.Fruits/Empty", key: "name", problem: "no service that was given has such a method" },
    { method: "demo.Nuts/Fill", key: "name", problem: "no service that was given has such a method" },
    { method: "demo.Fruits/Fill", key: "nmae", problem: `trunkline.test.orchard.Fruit has no field "nmae"` },
    { method: "demo.Fruits/Fill", key: "stone.pit", problem: `trunkline.test.orchard.Fruit.Stone has no field "pit"` },
    {
      method: "demo.Fruits/Fill",
      key: "name.first",
      problem: `"name" of trunkline.test.orchard.Fruit is not a message`
    },
    { method: "demo.Fruits/Fill", key: "stone", problem: `"stone" of trunkline.test.orchard.Fruit is not a string` },
    { method: "demo.Fruits/Fill", key: "prices", problem: `"prices" of trunkline.test.orchard.Fruit is not a string` },
    {
      method: "demo.Fruits/Fill",
      key: "wavelength",
      problem: `"wavelength" of trunkline.test.orchard.Fruit is not a string`
    },
    { method: "demo.Fruits/Fill", key: "", problem: `trunkline.test.orchard.Fruit has no field ""` }
  ])("$method by $key", ({ key, method, problem }) => {
    const result = make(method, "BOUND", key)
    assert(Result.isFailure(result))
    assert.deepStrictEqual([result.failure.method, result.failure.key, result.failure.problem], [method, key, problem])
  })
})

it("of two rules for a method the last holds", () => {
  const rules = AffinityRule.make(
    [
      { method: "demo.Fruits/Fill", command: "BOUND", key: "name" },
      { method: "/demo.Fruits/Fill", command: "UNBIND", key: "name" }
    ],
    [Fruits]
  )
  assert.deepStrictEqual(
    [...Result.getOrThrow(rules)].map(([path, { command }]) => [path, command]),
    [["/demo.Fruits/Fill", "UNBIND"]]
  )
})
