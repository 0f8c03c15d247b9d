/** In one error channel a tag means one thing, so no two public classes share one. */
import { assert, describe, it } from "@effect/vitest"
import { Predicate } from "effect"
import * as trunkline from "trunkline"
import * as testing from "trunkline/testing"

type Class = new (fields: object) => unknown

const isClass = (u: unknown): u is Class =>
  Predicate.isFunction(u) && /^class\b/.test(Function.prototype.toString.call(u))

/** The tag of a class, found on one of its instances. */
const tagOf = (constructor: Class): string | undefined => {
  try {
    const instance = new constructor({})
    return Predicate.hasProperty(instance, "_tag") && Predicate.isString(instance._tag) ? instance._tag : undefined
  } catch {
    return undefined
  }
}

const classes = new Map<Class, string>()
const collect = (path: string, value: unknown): void => {
  if (isClass(value)) {
    if (!classes.has(value)) classes.set(value, path)
    return
  }
  // Namespaces, and no deeper.
  if (path.includes(".") || !Predicate.isObject(value)) return
  for (const [name, member] of Object.entries(value)) collect(path === "" ? name : `${path}.${name}`, member)
}
for (const entry of [trunkline, testing]) {
  for (const [name, value] of Object.entries(entry)) collect(name, value)
}

describe("the tags of public classes", () => {
  const tagged = [...classes].flatMap(([constructor, path]) => {
    const tag = tagOf(constructor)
    return tag === undefined ? [] : [[tag, path] as const]
  })

  it("are found", () => {
    const tags = tagged.map(([tag]) => tag)
    for (const tag of ["RpcError", "NotFound", "MethodNotFound", "NoPeerReady", "BindError", "AddressError"]) {
      assert.include(tags, tag)
    }
    assert.isAbove(tags.length, 40)
  })

  it("are different", () => {
    const paths = new Map<string, ReadonlyArray<string>>()
    for (const [tag, path] of tagged) paths.set(tag, [...(paths.get(tag) ?? []), path])
    const shared = [...paths].filter(([, all]) => all.length > 1)
    assert.deepStrictEqual(shared, [])
  })
})
