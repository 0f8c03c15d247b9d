import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import { Balancer, Client, type Code, ErrorDetails, Handlers, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { EchoRequestSchema, EchoResponseSchema, EchoService } from "../gen/echo_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

const key = "grpc-status-details-bin"

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

/** The trailer as it is on the wire. */
const trailer = (error: RpcError.RpcError): string => {
  const [bytes, ...more] = error.trailers.get(key) ?? []
  assert.isEmpty(more)
  return base64(bytes as Uint8Array)
}

/** An error whose trailer is exactly this. */
const withTrailer = (code: Code.Code, ...values: ReadonlyArray<string | Uint8Array>): RpcError.RpcError =>
  RpcError.make(code, "bad", { trailers: new Map([[key, values]]) })

const plain = (details: ReadonlyArray<ErrorDetails.Detail>) =>
  details.map(({ typeUrl, value }) => [typeUrl, base64(value)])

const invalid = RpcError.make("INVALID_ARGUMENT", "bad")
const badMail = ErrorDetails.badRequest({ mail: "has no @" })
const unknown: ErrorDetails.Detail = { typeUrl: "types.example/acme.Secret", value: new Uint8Array([0, 255, 128, 7]) }

interface Standard<D extends DescMessage = DescMessage> {
  readonly schema: D
  readonly message: MessageInitShape<D>
  /** The message as Google's own library for Python writes it. */
  readonly bytes: string
}

const standard = <D extends DescMessage>(schema: D, message: MessageInitShape<D>, bytes: string): Standard =>
  ({ schema, message, bytes }) as unknown as Standard

const ten: ReadonlyArray<Standard> = [
  standard(ErrorDetails.RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } }, "CggIARCAyrXuAQ=="),
  standard(ErrorDetails.DebugInfoSchema, { stackEntries: ["at f", "at g"], detail: "why" }, "CgRhdCBmCgRhdCBnEgN3aHk="),
  standard(
    ErrorDetails.QuotaFailureSchema,
    {
      violations: [
        {
          subject: "project:acme",
          description: "used up",
          apiService: "a.example",
          quotaMetric: "m",
          quotaId: "q",
          quotaDimensions: { region: "eu" },
          quotaValue: 100n,
          futureQuotaValue: 0n
        }
      ]
    },
    "CjoKDHByb2plY3Q6YWNtZRIHdXNlZCB1cBoJYS5leGFtcGxlIgFtKgFxMgwKBnJlZ2lvbhICZXU4ZEAA"
  ),
  standard(
    ErrorDetails.ErrorInfoSchema,
    { reason: "CARD_EXPIRED", domain: "shop.example", metadata: { year: "2019" } },
    "CgxDQVJEX0VYUElSRUQSDHNob3AuZXhhbXBsZRoMCgR5ZWFyEgQyMDE5"
  ),
  standard(
    ErrorDetails.PreconditionFailureSchema,
    { violations: [{ type: "TOS", subject: "acme", description: "not accepted" }] },
    "ChkKA1RPUxIEYWNtZRoMbm90IGFjY2VwdGVk"
  ),
  standard(
    ErrorDetails.BadRequestSchema,
    {
      fieldViolations: [
        {
          field: "mail",
          description: "has no @",
          reason: "NO_AT",
          localizedMessage: { locale: "de", message: "kein @" }
        }
      ]
    },
    "CiUKBG1haWwSCGhhcyBubyBAGgVOT19BVCIMCgJkZRIGa2VpbiBA"
  ),
  standard(ErrorDetails.RequestInfoSchema, { requestId: "r-1", servingData: "s" }, "CgNyLTESAXM="),
  standard(
    ErrorDetails.ResourceInfoSchema,
    { resourceType: "table", resourceName: "users", owner: "project:acme", description: "gone" },
    "CgV0YWJsZRIFdXNlcnMaDHByb2plY3Q6YWNtZSIEZ29uZQ=="
  ),
  standard(
    ErrorDetails.HelpSchema,
    { links: [{ description: "how", url: "https://shop.example/help" }] },
    "CiAKA2hvdxIZaHR0cHM6Ly9zaG9wLmV4YW1wbGUvaGVscA=="
  ),
  standard(ErrorDetails.LocalizedMessageSchema, { locale: "de-CH", message: "Grüezi" }, "CgVkZS1DSBIHR3LDvGV6aQ==")
]

const all = (): ReadonlyArray<ErrorDetails.Detail> =>
  ten.map(({ schema, message }) => ErrorDetails.make(schema, message))

describe("the ten standard messages", () => {
  it.each(ten.map((row) => [row.schema.name, row] as const))("%s: as others write it, and back", (name, row) => {
    const error = ErrorDetails.attach(invalid, ErrorDetails.make(row.schema, row.message))
    assert.deepStrictEqual(plain(ErrorDetails.raw(error)), [[`type.googleapis.com/google.rpc.${name}`, row.bytes]])
    assert.deepStrictEqual(ErrorDetails.get(error, row.schema), create(row.schema, row.message))
    for (const other of ten) if (other !== row) assert.isUndefined(ErrorDetails.get(error, other.schema))
  })

  it("all on one error", () => {
    const error = ErrorDetails.attach(invalid, ...all())
    for (const { schema, message } of ten) {
      assert.deepStrictEqual(ErrorDetails.getAll(error, schema), [create(schema, message)])
    }
  })
})

describe("attach", () => {
  it("writes the trailer that others write", () => {
    const error = ErrorDetails.attach(invalid, ErrorDetails.retryInfo("1500 millis"))
    assert.strictEqual(
      trailer(error),
      "CAMSA2JhZBo2Cih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZvEgoKCAgBEIDKte4B"
    )
  })

  it("leaves the error it is given, and everything else about it", () => {
    const before = RpcError.make("INVALID_ARGUMENT", "bad", {
      method: "/a.B/C",
      origin: "remote",
      trailers: new Map([["x", ["1", "2"]]]),
      cause: "mine"
    })
    const after = before.pipe(ErrorDetails.attach(badMail))
    assert.isFalse(before.trailers.has(key))
    assert.deepStrictEqual(after.trailers.get("x"), ["1", "2"])
    assert.deepStrictEqual(
      [after.message, after.method, after.origin, after.cause],
      [before.message, before.method, before.origin, before.cause]
    )
    assert.strictEqual(ErrorDetails.attach(before), before)
  })

  it("takes any message: plain, or created", () => {
    const created = create(EchoRequestSchema, { text: "mine", payload: new Uint8Array([1, 2]) })
    const error = ErrorDetails.attach(
      invalid,
      ErrorDetails.make(EchoRequestSchema, { text: "plain" }),
      ErrorDetails.make(EchoRequestSchema, created)
    )
    assert.deepStrictEqual(ErrorDetails.getAll(error, EchoRequestSchema), [
      create(EchoRequestSchema, { text: "plain" }),
      created
    ])
    assert.deepStrictEqual(ErrorDetails.getAll(EchoResponseSchema)(error), [])
  })

  it("adds after what is there, and leaves that untouched", () => {
    const once = ErrorDetails.attach(invalid, unknown, badMail)
    const twice = ErrorDetails.attach(once, ErrorDetails.badRequest({ age: "is negative" }), unknown)
    assert.deepStrictEqual(plain(ErrorDetails.raw(twice)).slice(0, 2), plain([unknown, badMail]))
    assert.deepStrictEqual(
      ErrorDetails.getAll(twice, ErrorDetails.BadRequestSchema).map((bad) => bad.fieldViolations[0]?.field),
      ["mail", "age"]
    )
    assert.strictEqual(ErrorDetails.get(twice, ErrorDetails.BadRequestSchema)?.fieldViolations[0]?.field, "mail")
    assert.deepStrictEqual(plain(ErrorDetails.raw(twice)).at(-1), plain([unknown])[0])
  })

  it("keeps what a later version of google.rpc.Status may say", () => {
    // Field 9, the number 5.
    const error = ErrorDetails.attach(withTrailer("INVALID_ARGUMENT", new Uint8Array([0x48, 5])), badMail)
    assert.isTrue(Buffer.from(trailer(error), "base64").includes(Buffer.from([0x48, 5])))
  })

  it("carries the details of one error over to another", () => {
    const over = ErrorDetails.attach(
      RpcError.make("UNAVAILABLE", "later"),
      ...ErrorDetails.raw(ErrorDetails.attach(invalid, unknown, badMail))
    )
    assert.deepStrictEqual(plain(ErrorDetails.raw(over)), plain([unknown, badMail]))
    assert.isTrue(ErrorDetails.status(over)?.agrees)
  })

  it("throws, when it is made, on a message that its schema cannot hold", () => {
    assert.throws(() => ErrorDetails.make(EchoRequestSchema, { count: 0.5 }), /int32/)
  })
})

describe("the type of a detail", () => {
  const { value } = badMail
  it.each([
    ["type.googleapis.com/google.rpc.BadRequest", true],
    ["types.example/google.rpc.BadRequest", true],
    ["a/b/google.rpc.BadRequest", true],
    ["google.rpc.BadRequest", true],
    ["type.googleapis.com/google.rpc.BadRequest2", false],
    ["type.googleapis.com/my.google.rpc.BadRequest", false],
    ["type.googleapis.com/google.rpc.badrequest", false],
    ["type.googleapis.com/BadRequest", false],
    ["google.rpc.BadRequest/", false],
    ["", false]
  ])("%s: %s", (typeUrl, found) => {
    const error = ErrorDetails.attach(invalid, { typeUrl, value })
    assert.strictEqual(ErrorDetails.get(error, ErrorDetails.BadRequestSchema) !== undefined, found)
    assert.deepStrictEqual(plain(ErrorDetails.raw(error)), [[typeUrl, base64(value)]])
  })
})

describe("status", () => {
  it("says what the trailer says, and that it agrees", () => {
    const error = ErrorDetails.attach(invalid, badMail)
    assert.deepStrictEqual(ErrorDetails.status(error), {
      code: "INVALID_ARGUMENT",
      message: "bad",
      details: [badMail],
      agrees: true
    })
  })

  it("is the error's own words where there is no trailer", () => {
    const expected = { code: "INVALID_ARGUMENT", message: "bad", details: [], agrees: true } as const
    assert.deepStrictEqual(ErrorDetails.status(invalid), expected)
    const other = RpcError.annotate(invalid, { trailers: new Map([["x", ["1"]]]) })
    assert.deepStrictEqual(ErrorDetails.status(other), expected)
  })

  it.each([
    ["another code", 5, "NOT_FOUND"],
    ["OK", 0, "OK"],
    ["no code there is", 99, "UNKNOWN"],
    ["a negative one", -1, "UNKNOWN"]
  ] as const)("does not agree with %s", (_, number, code) => {
    const bytes = [0x08, ...(number < 0 ? [255, 255, 255, 255, 255, 255, 255, 255, 255, 1] : [number])]
    const error = withTrailer("INVALID_ARGUMENT", new Uint8Array(bytes))
    assert.deepStrictEqual(ErrorDetails.status(error), { code, message: "", details: [], agrees: false })
    assert.isTrue(ErrorDetails.status(ErrorDetails.attach(error, badMail))?.agrees)
  })

  it("takes a code that nobody knows for UNKNOWN on both sides", () => {
    assert.isTrue(ErrorDetails.status(withTrailer("UNKNOWN", new Uint8Array([0x08, 99])))?.agrees)
  })

  it("reads the last value", () => {
    const last = ErrorDetails.attach(invalid, badMail).trailers.get(key)![0] as Uint8Array
    const error = withTrailer("INVALID_ARGUMENT", new Uint8Array([0x08, 5]), last)
    assert.deepStrictEqual(plain(ErrorDetails.raw(error)), plain([badMail]))
  })
})

describe("a trailer that does not parse", () => {
  it.each([
    ["bytes of something else", [new Uint8Array([0xff, 0xff, 0xff])]],
    ["cut off", [new Uint8Array([0x1a, 0x30, 0x0a])]],
    ["text", ["CAMSA2JhZA=="]],
    ["no value", []]
  ])("%s: is not there, and attach replaces it", (_, values) => {
    const error = withTrailer("INVALID_ARGUMENT", ...values)
    assert.isUndefined(ErrorDetails.status(error))
    assert.deepStrictEqual(ErrorDetails.raw(error), [])
    assert.isUndefined(ErrorDetails.get(error, ErrorDetails.BadRequestSchema))
    assert.deepStrictEqual(ErrorDetails.getAll(error, ErrorDetails.BadRequestSchema), [])
    assert.isUndefined(ErrorDetails.retryDelay(error))
    assert.deepStrictEqual(plain(ErrorDetails.raw(ErrorDetails.attach(error, badMail))), plain([badMail]))
  })

  it("a detail that does not parse is passed over, and stays raw", () => {
    const broken = { typeUrl: badMail.typeUrl, value: new Uint8Array([0x0a, 0x7f]) }
    const error = ErrorDetails.attach(invalid, broken, badMail)
    assert.strictEqual(ErrorDetails.get(error, ErrorDetails.BadRequestSchema)?.fieldViolations[0]?.field, "mail")
    assert.strictEqual(ErrorDetails.getAll(error, ErrorDetails.BadRequestSchema).length, 1)
    assert.deepStrictEqual(plain(ErrorDetails.raw(error)), plain([broken, badMail]))
  })

  it("nothing throws, wherever a trailer is cut or changed", () => {
    const whole = bytesOf(trailer(ErrorDetails.attach(invalid, ...all(), unknown)))
    const damaged = [...whole].flatMap((byte, i) => [
      whole.subarray(0, i),
      ...[0x00, 0xff, byte ^ 0x01, byte ^ 0x80].map((other) => whole.with(i, other))
    ])
    for (const bytes of damaged) {
      const error = withTrailer("INVALID_ARGUMENT", bytes)
      ErrorDetails.status(error)
      ErrorDetails.retryDelay(error)
      for (const { schema } of ten) ErrorDetails.getAll(error, schema)
      const more = ErrorDetails.attach(error, badMail)
      assert.strictEqual(ErrorDetails.raw(more).length, ErrorDetails.raw(error).length + 1)
    }
  })
})

describe("retryInfo", () => {
  const tenThousandYears = Duration.seconds(315_576_000_000)
  it.each([
    ["1 second", Duration.seconds(1)],
    ["1500 millis", Duration.millis(1500)],
    [0.25, Duration.micros(250n)],
    [Duration.nanos(1n), Duration.nanos(1n)],
    [0, Duration.zero],
    ["-1 second", Duration.zero],
    ["-Infinity", Duration.zero],
    ["Infinity", tenThousandYears]
  ] satisfies ReadonlyArray<readonly [Duration.Input, Duration.Duration]>)("%s", (delay, expected) => {
    const read = ErrorDetails.retryDelay(ErrorDetails.attach(invalid, ErrorDetails.retryInfo(delay)))
    assert.isDefined(read)
    assert.strictEqual(Duration.toNanosUnsafe(read), Duration.toNanosUnsafe(expected))
  })

  it("is not there without one, or without a delay in it", () => {
    assert.isUndefined(ErrorDetails.retryDelay(invalid))
    const empty = ErrorDetails.make(ErrorDetails.RetryInfoSchema, {})
    assert.isUndefined(ErrorDetails.retryDelay(ErrorDetails.attach(invalid, empty)))
  })

  it("never asks to wait for less than nothing", () => {
    const past = ErrorDetails.make(ErrorDetails.RetryInfoSchema, { retryDelay: { seconds: -5n } })
    const delay = ErrorDetails.retryDelay(ErrorDetails.attach(invalid, past))
    assert.isDefined(delay)
    assert.strictEqual(Duration.toMillis(delay), 0)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Across a wire
// ---------------------------------------------------------------------------------------------------------------------

type Echo = Client.Client<typeof EchoService>

const connect = (address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(EchoService), pool)
  )

/** A client of a server with these handlers. */
const clientOf = (wire: Wire, handlers: Handlers.Handlers) => Effect.flatMap(wire.serve([handlers]), connect)

/** Fails every call, after as many responses as were asked for where there are many. */
const failing = (error: RpcError.RpcError) =>
  Handlers.make(EchoService, {
    echo: () => Effect.fail(error),
    lookup: () => Effect.fail(error),
    expand: ({ count }) =>
      Stream.range(0, count - 1).pipe(
        Stream.map((index) => ({ index })),
        Stream.concat(Stream.fail(error))
      ),
    collect: (requests) => Effect.andThen(Stream.runDrain(requests), Effect.fail(error)),
    chat: (requests) =>
      Stream.concat(
        Stream.map(requests, ({ text }) => ({ text })),
        Stream.fail(error)
      )
  })

/** Passes every call on, and changes its error. */
const proxyOf = (upstream: Echo, change: (error: RpcError.RpcError) => RpcError.RpcError = (error) => error) =>
  Handlers.make(EchoService, {
    echo: (request) => Effect.mapError(upstream.echo(request), change),
    lookup: (request) => Effect.mapError(upstream.lookup(request), change),
    expand: (request) => Stream.mapError(upstream.expand(request), change),
    collect: (requests) => Effect.mapError(upstream.collect(requests), change),
    chat: (requests) => Stream.mapError(upstream.chat(requests), change)
  })

const calls: Readonly<Record<string, (echo: Echo) => Effect.Effect<unknown, RpcError.RpcError>>> = {
  unary: (echo) => echo.echo({}),
  "server streaming": (echo) => Stream.runDrain(echo.expand({ count: 0 })),
  "server streaming, after messages": (echo) => Stream.runDrain(echo.expand({ count: 3 })),
  "client streaming": (echo) => echo.collect(Stream.make({ text: "a" }, { text: "b" })),
  bidi: (echo) => Stream.runDrain(echo.chat(Stream.empty)),
  "bidi, after messages": (echo) => Stream.runDrain(echo.chat(Stream.make({ text: "a" }, { text: "b" })))
}

for (const wire of wires) {
  describe(`details ${wire.name}`, () => {
    for (const [kind, call] of Object.entries(calls)) {
      wire.it(`${kind}: arrive typed, and those of unknown types raw`, () =>
        Effect.gen(function* () {
          const sent = ErrorDetails.attach(invalid, ...all(), unknown)
          const echo = yield* clientOf(wire, failing(sent))
          const error = yield* Effect.flip(call(echo))
          assert.strictEqual(error.message, "[INVALID_ARGUMENT] bad")
          assert.strictEqual(error.origin, "remote")
          for (const { schema, message } of ten) {
            assert.deepStrictEqual(ErrorDetails.get(error, schema), create(schema, message))
          }
          assert.deepStrictEqual(plain(ErrorDetails.raw(error)).at(-1), plain([unknown])[0])
          assert.isTrue(ErrorDetails.status(error)?.agrees)
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it(`${kind}: a proxy passes them on byte for byte`, () =>
        Effect.gen(function* () {
          // No encoder writes it like this: the code last, an unknown field, and a detail of an unknown type.
          const odd = new Uint8Array([0x48, 5, 0x1a, 8, 0x0a, 3, 0x61, 0x2f, 0x62, 0x12, 1, 9, 0x08, 3])
          const backend = yield* clientOf(wire, failing(withTrailer("INVALID_ARGUMENT", odd)))
          const error = yield* Effect.flip(call(yield* clientOf(wire, proxyOf(backend))))
          assert.strictEqual(trailer(error), base64(odd))
          assert.deepStrictEqual(plain(ErrorDetails.raw(error)), [["a/b", "CQ=="]])
          assert.isTrue(ErrorDetails.status(error)?.agrees)
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it(`${kind}: a proxy adds to them`, () =>
        Effect.gen(function* () {
          const backend = yield* clientOf(wire, failing(ErrorDetails.attach(invalid, unknown)))
          const proxy = yield* clientOf(wire, proxyOf(backend, ErrorDetails.attach(badMail)))
          const error = yield* Effect.flip(call(proxy))
          assert.deepStrictEqual(plain(ErrorDetails.raw(error)), plain([unknown, badMail]))
        }).pipe(Effect.provide(wire.layer))
      )
    }

    wire.it("messages before the error arrive before it", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, failing(ErrorDetails.attach(invalid, badMail)))
        const seen: Array<number> = []
        const error = yield* Effect.flip(
          Stream.runForEach(echo.expand({ count: 3 }), ({ index }) => Effect.sync(() => seen.push(index)))
        )
        assert.deepStrictEqual(seen, [0, 1, 2])
        assert.deepStrictEqual(plain(ErrorDetails.raw(error)), plain([badMail]))
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("a code that the trailer does not agree with is reported, and the details are still there", () =>
      Effect.gen(function* () {
        const { trailers } = ErrorDetails.attach(RpcError.make("NOT_FOUND", "gone"), badMail)
        const echo = yield* clientOf(wire, failing(RpcError.make("INVALID_ARGUMENT", "bad", { trailers })))
        const error = yield* Effect.flip(echo.echo({}))
        assert.strictEqual(error.code, "INVALID_ARGUMENT")
        const status = ErrorDetails.status(error)
        assert.deepStrictEqual([status?.code, status?.message, status?.agrees], ["NOT_FOUND", "gone", false])
        assert.isDefined(ErrorDetails.get(error, ErrorDetails.BadRequestSchema))
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("a garbage trailer costs the details and nothing else", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, failing(withTrailer("INVALID_ARGUMENT", new Uint8Array([255, 255, 255]))))
        const error = yield* Effect.flip(echo.echo({}))
        assert.strictEqual(error.message, "[INVALID_ARGUMENT] bad")
        assert.isUndefined(ErrorDetails.status(error))
        assert.deepStrictEqual(ErrorDetails.raw(error), [])
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("an error without them has none", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip((yield* clientOf(wire, failing(invalid))).echo({}))
        assert.isFalse(error.trailers.has(key))
        assert.deepStrictEqual(ErrorDetails.raw(error), [])
      }).pipe(Effect.provide(wire.layer))
    )
  })
}
