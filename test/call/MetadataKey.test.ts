/** What typed keys write, what they read, and what they refuse. */
import { assert, describe, it } from "@effect/vitest"
import { create } from "@bufbuild/protobuf"
import { Effect, Layer, Option, pipe, Result, Schema, Stream } from "effect"
import { Balancer, CallOptions, Client, Handlers, Metadata, MetadataKey, RoundRobin, StaticDiscovery } from "trunkline"
import { EchoRequestSchema, EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"

const User = Schema.Struct({ name: Schema.String, since: Schema.Date })
const zoe = { name: "Zoë 🎈\u007f\ud800", since: new Date(0) }

const Text = MetadataKey.text("X-Text")
const Token = MetadataKey.token("x-token")
const Bytes = MetadataKey.bytes("X-Bytes-Bin")
const Message = MetadataKey.message("x-message-bin", EchoRequestSchema)
const Json = MetadataKey.json("x-json", User)
const JsonBytes = MetadataKey.json("x-json-bin", User)

const bytes = Uint8Array.of(0, 255)
const message = create(EchoRequestSchema, { text: "secret", count: 3 })

/** Every kind of key, two values it can carry. */
const kinds = [
  ["text", Text, "with, comma", "b"],
  ["token", Token, "a", "b"],
  ["bytes", Bytes, bytes, new Uint8Array()],
  ["message", Message, message, create(EchoRequestSchema, {})],
  ["json", Json, zoe, { name: '"[],', since: new Date(1) }],
  ["json in bytes", JsonBytes, { ...zoe, name: "Zoë 🎈" }, { name: "", since: new Date(1) }]
] as ReadonlyArray<[string, MetadataKey.MetadataKey<unknown>, unknown, unknown]>

describe.each(kinds)("a %s key", (_name, key, a, b) => {
  const ab = pipe(Metadata.empty, Metadata.append(key, a), Metadata.append(key, b))

  it("reads what it wrote, in order", () => {
    assert.deepStrictEqual(Result.getOrThrow(Metadata.all(ab, key)), [a, b])
    assert.deepStrictEqual(Result.getOrThrow(Metadata.first(ab, key)), Option.some(a))
    assert.deepStrictEqual(Result.getOrThrow(pipe(ab, Metadata.last(key))), Option.some(b))
    assert.deepStrictEqual(Metadata.of(key, a, b), ab)
  })

  it("writes what the protocol carries", () => {
    assert.deepStrictEqual(Metadata.make(ab), Result.succeed(ab))
  })

  it("absent is neither a value nor an error", () => {
    assert.deepStrictEqual(Metadata.first(Metadata.empty, key), Result.succeed(Option.none()))
    assert.deepStrictEqual(Metadata.last(Metadata.empty, key), Result.succeed(Option.none()))
    assert.deepStrictEqual(Metadata.all(Metadata.empty, key), Result.succeed([]))
  })

  it("set replaces every value, remove leaves none; nothing else changes, and the original does not", () => {
    const other = Metadata.override(ab, Metadata.makeUnsafe({ other: "1" }))
    const set = Metadata.set(other, key, b)
    assert.deepStrictEqual(Result.getOrThrow(Metadata.all(set, key)), [b])
    assert.strictEqual(Metadata.get(set, "other"), "1")
    assert.deepStrictEqual([...Metadata.remove(other, key).keys()], ["other"])
    assert.deepStrictEqual([...pipe(other, Metadata.remove(key.name.toUpperCase())).keys()], ["other"])
    assert.deepStrictEqual(Result.getOrThrow(Metadata.all(other, key)), [a, b])
  })

  it("its name is in lower case, and finds values by any", () => {
    assert.strictEqual(key.name, key.name.toLowerCase())
    assert.deepStrictEqual(Metadata.getAll(ab, key.name.toUpperCase()).length, 2)
  })
})

describe("values another process wrote", () => {
  const secret = "secret"
  it.each([
    ["bytes under a text key", Text, Uint8Array.of(1), "is not text"],
    ["bytes under a token key", Token, Uint8Array.of(1), "is not text without a comma"],
    ["text under a bytes key", Bytes, secret, "is not bytes"],
    ["bytes that are no message", Message, Uint8Array.of(0xff, 0xff), "is not trunkline.test.EchoRequest"],
    ["text that is no JSON", Json, `{${secret}`, "is not JSON of its schema"],
    ["no text at all", Json, "", "is not JSON of its schema"],
    ["the inside of a broken array", Json, `"${secret}"],["${secret}"`, "is not JSON of its schema"],
    ["JSON that is no user", Json, `{"name":"${secret}","since":false}`, "is not JSON of its schema"],
    ["bytes that are no UTF-8", JsonBytes, Uint8Array.of(0xff), "is not JSON of its schema"],
    [
      "a string that is no UTF-8",
      MetadataKey.json("x-bin", Schema.String),
      Uint8Array.of(0x22, 0xff, 0x22),
      "is not JSON"
    ],
    ["bytes that are no user", JsonBytes, new TextEncoder().encode(`"${secret}"`), "is not JSON of its schema"]
  ] as ReadonlyArray<[string, MetadataKey.MetadataKey<never, unknown>, Metadata.Value, string]>)(
    "%s: an error that names the key and not the value",
    (_name, key, value, problem) => {
      const metadata = new Map([[key.name, [value]]])
      for (const result of [
        Metadata.first(metadata, key),
        Metadata.last(metadata, key),
        Metadata.all(metadata, key)
      ] as ReadonlyArray<Result.Result<unknown, Metadata.MetadataError>>) {
        assert(Result.isFailure(result))
        assert.instanceOf(result.failure, Metadata.MetadataError)
        assert.strictEqual(result.failure.key, key.name)
        assert.include(result.failure.message, problem)
        assert.notInclude(JSON.stringify(result.failure) + String(result.failure.stack), secret)
      }
    }
  )

  it("one bad value among good ones: only who reads it hears of it", () => {
    const metadata = new Map([["x-json", ['{"name":"a","since":"1970-01-01T00:00:00.000Z"}', "bad"]]])
    assert.isTrue(Result.isSuccess(Metadata.first(metadata, Json)))
    assert.isTrue(Result.isFailure(Metadata.last(metadata, Json)))
    assert.isTrue(Result.isFailure(Metadata.all(metadata, Json)))
  })

  it.each([
    ["a token key", Token, "a,b ,  c", ["a", "b", "c"]],
    ["a json key", MetadataKey.json("x", Schema.Unknown), '{"a":[1,2]}, "x,y",3', [{ a: [1, 2] }, "x,y", 3]],
    ["a text key", Text, "a, b", ["a, b"]]
  ] as ReadonlyArray<[string, MetadataKey.MetadataKey<never, unknown>, string, ReadonlyArray<unknown>]>)(
    "joined by commas on the way, as %s reads them",
    (_name, key, value, expected) => {
      const metadata = new Map([[key.name, [value]]])
      assert.deepStrictEqual(Result.getOrThrow(Metadata.all(metadata, key)), expected)
      assert.deepStrictEqual(Result.getOrThrow(Metadata.first(metadata, key)), Option.some(expected[0]))
      assert.deepStrictEqual(Result.getOrThrow(Metadata.last(metadata, key)), Option.some(expected.at(-1)))
    }
  )
})

describe("what a key refuses", () => {
  const make: Readonly<Record<string, (name: string) => MetadataKey.MetadataKey<never, unknown>>> = {
    text: MetadataKey.text,
    token: MetadataKey.token,
    bytes: MetadataKey.bytes,
    message: (name) => MetadataKey.message(name, EchoRequestSchema),
    json: (name) => MetadataKey.json(name, User)
  }

  it.each([
    ["text", "x-bin"],
    ["text", "X-BIN"],
    ["token", "x-bin"],
    ["bytes", "x"],
    ["message", "x"],
    ...Object.keys(make).flatMap((kind) => {
      const suffix = kind === "bytes" || kind === "message" ? "-bin" : ""
      return ["a b", ":path", "ö", "grpc-x"].map((name): [string, string] => [kind, name + suffix])
    }),
    ["text", ""],
    ["json", ""]
  ] as ReadonlyArray<[string, string]>)(
    "a %s key is not called %j, and that is said where it is made",
    (kind, name) => {
      assert.throws(() => make[kind]!(name), Metadata.MetadataError)
    }
  )

  it.each([
    ["a newline in text", Text, "secret\n"],
    ["text that is not ASCII", Text, "secretö"],
    ["a comma in a token", Token, "secret,"],
    ["a space before a token", Token, " secret"],
    ["a message that does not encode", Message, { count: 0.5, text: "secret" }],
    ["JSON of another schema", Json, { name: "secret", since: "secret" }]
  ] as ReadonlyArray<[string, MetadataKey.MetadataKey<unknown>, unknown]>)(
    "%s: an error that names the key and not the value",
    (_name, key, value) => {
      const encoded = key.encode(value)
      assert(Result.isFailure(encoded))
      assert.strictEqual(encoded.failure.key, key.name)
      assert.notInclude(encoded.failure.message + String(encoded.failure.stack), "secret")
      for (const write of [
        () => Metadata.of(key, value),
        () => Metadata.set(Metadata.empty, key, value),
        () => Metadata.append(Metadata.empty, key, value)
      ]) {
        assert.throws(write, Metadata.MetadataError)
      }
    }
  )
})

it("a message may be written with fields left out", () => {
  const metadata = Metadata.of(Message, { text: "a" })
  assert.deepStrictEqual(Result.getOrThrow(Metadata.all(metadata, Message)), [create(EchoRequestSchema, { text: "a" })])
})

it("JSON travels as ASCII", () => {
  assert.strictEqual(
    Metadata.get(Metadata.of(MetadataKey.json("x", Schema.String), zoe.name), "x"),
    '"Zo\\u00eb \\ud83c\\udf88\\u007f\\ud800"'
  )
})

it("a key says what its values are", () => {
  const written: Metadata.Metadata = pipe(Metadata.empty, Metadata.set(Text, "a"), Metadata.append(Json, zoe))
  const read: Result.Result<Option.Option<{ readonly name: string }>, Metadata.MetadataError> = Metadata.last(
    written,
    Json
  )
  assert.isTrue(Result.isSuccess(read))
  // @ts-expect-error -- a text key carries no numbers
  assert.throws(() => Metadata.set(written, Text, 1))
  // @ts-expect-error -- nor does a message key carry other messages
  assert.throws(() => Metadata.of(Message, { txt: 1n }).get("x").length)
  // @ts-expect-error -- what is read is what the schema says
  const wrong: Result.Result<Option.Option<number>, Metadata.MetadataError> = Metadata.first(written, Json)
  assert.notStrictEqual(wrong as unknown, read)
})

it("a format of one's own", () => {
  const Numbers = MetadataKey.make("x-numbers", {
    expected: "numbers",
    encode: (value: number) => String(value),
    decode: (value) => String(value).split("+").map(Number)
  })
  const metadata = Metadata.append(Metadata.of(Numbers, 1), Numbers, 2)
  assert.deepStrictEqual(Result.getOrThrow(Metadata.all(metadata, Numbers)), [1, 2])
  assert.throws(() => MetadataKey.make("grpc-numbers", { expected: "", encode: String, decode: () => [] }))
})

for (const wire of wires) {
  wire.it(`every key but text keeps several values apart ${wire.name}`, () =>
    Effect.gen(function* () {
      let received: Metadata.Metadata = Metadata.empty
      const handlers = Handlers.make(EchoService, {
        echo: (_request, call) =>
          Effect.sync(() => {
            received = call.options.metadata
            return {}
          }),
        lookup: () => Effect.succeed({}),
        expand: () => Stream.never,
        collect: () => Effect.never,
        chat: () => Stream.never
      })
      const address = yield* wire.serve([handlers])
      const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
      const several = kinds
        .slice(1)
        .reduce((all, [, key, a, b]) => Metadata.override(all, Metadata.of(key, a, b)), Metadata.empty)
      yield* Client.make(EchoService).pipe(
        Effect.flatMap((echo) => echo.echo({})),
        CallOptions.withMetadata(Metadata.set(several, Text, "with, comma")),
        Effect.provide(Layer.orDie(pool))
      )
      for (const [, key, a, b] of kinds.slice(1)) {
        assert.deepEqual(plain(Result.getOrThrow(Metadata.all(received, key))), plain([a, b]))
      }
      assert.deepStrictEqual(Result.getOrThrow(Metadata.all(received, Text)), ["with, comma"])
    }).pipe(Effect.provide(wire.layer))
  )
}

/** Bytes are bytes, whichever class holds them. */
const plain = (values: ReadonlyArray<unknown>) =>
  values.map((value) => (value instanceof Uint8Array ? [...value] : value))
