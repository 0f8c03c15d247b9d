import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as SchemaProblem from "../../src/call/SchemaProblem.ts"
import { EchoRequestSchema } from "../gen/echo_pb.ts"

const causeOf = (f: () => unknown): unknown => Result.getOrThrow(Result.flip(Result.try({ try: f, catch: (e) => e })))

const Person = Schema.Struct({
  name: Schema.NonEmptyString,
  mails: Schema.Array(Schema.String),
  born: Schema.Date,
  secret: Schema.String.check(Schema.makeFilter((text) => (text === "right" ? undefined : `${text} is not the word`)))
})
const good = { name: "Ada", mails: ["a@b"], born: "1815-12-10T00:00:00.000Z", secret: "right" }

const said = (json: unknown) =>
  SchemaProblem.ofCause(
    causeOf(() => Schema.decodeUnknownSync(Schema.fromJsonString(Schema.toCodecJson(Person)))(json))
  )

describe("ofCause", () => {
  it.each([
    ["no JSON", "hunter2", "Expected a valid JSON string"],
    ["another kind of value", "[]", "Expected object"],
    ["a field that is missing", JSON.stringify({ ...good, name: undefined }), "name: Missing key"],
    [
      "a field that is refused",
      JSON.stringify({ ...good, name: "" }),
      "name: Expected a value with a length of at least 1"
    ],
    ["a place in a list", JSON.stringify({ ...good, mails: ["a@b", 5] }), "mails[1]: Expected string"],
    ["a value that does not convert", JSON.stringify({ ...good, born: "hunter2" }), "born: Expected a valid Date"],
    // The text of this check quotes what it refuses.
    ["a check with words of its own", JSON.stringify({ ...good, secret: "hunter2" }), "secret: Expected a valid value"]
  ])("of %s", (_what, json, expected) => {
    assert.strictEqual(said(json), expected)
  })

  it("names the field of a protobuf message, and not its value", () => {
    const message = create(EchoRequestSchema, { text: "x" })
    const cause = causeOf(() => toBinary(EchoRequestSchema, { ...message, count: "hunter2" as unknown as number }))
    assert.strictEqual(SchemaProblem.ofCause(cause), "trunkline.test.EchoRequest.count: Expected a valid value")
  })

  it("says nothing of what may hold anything", () => {
    for (const cause of [new Error("hunter2"), "hunter2", undefined, null, { message: "hunter2" }]) {
      assert.strictEqual(SchemaProblem.ofCause(cause), undefined)
    }
  })

  it("is bounded, whatever comes", () => {
    const Names = Schema.fromJsonString(Schema.toCodecJson(Schema.Record(Schema.String, Schema.Int)))
    const wrong = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`${"k".repeat(1000)}${i}`, "x"]))
    const cause = causeOf(() => Schema.decodeUnknownSync(Names, { errors: "all" })(JSON.stringify(wrong)))
    const text = SchemaProblem.ofCause(cause)!
    assert.isBelow(text.length, 2500)
    assert.include(text, "k".repeat(100))
  })
})

describe("cut", () => {
  it("never makes half a character, nor a text that is too long", () => {
    for (const text of ["", "short", "x".repeat(30), "😀".repeat(20), `a${"😀".repeat(20)}`, "a😀b".repeat(9)]) {
      for (let most = 2; most <= 20; most++) {
        const short = SchemaProblem.cut(text, most)
        assert.isAtMost(short.length, most)
        // Throws for half a character.
        encodeURIComponent(short)
        assert.isTrue(text.length <= most ? short === text : text.startsWith(short.slice(0, -1)))
      }
    }
  })
})
