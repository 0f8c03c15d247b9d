import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Balancer, CallOptions, Client, Handlers, Metadata, RequestId, RoundRobin, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"
import { logs } from "../support/logs.ts"
import { clientOf, recorder } from "../support/spans.ts"

const id = RequestId.make({ id: "proxy-1", retry: 2 })

const said = Effect.andThen(
  Effect.log("handling"),
  Effect.map(RequestId.Current, (text) => ({ text: String(text) }))
)

const handlers = Handlers.make(EchoService, {
  echo: () => said,
  lookup: () => said,
  expand: () => Stream.fromEffect(said),
  collect: () => said,
  chat: () => Stream.fromEffect(said)
})

const serve = Effect.flatMap(TestNetwork.TestNetwork, (network) =>
  network.serve("a:1", { handlers: [handlers], interceptor: RequestId.server })
)

const client = Effect.gen(function* () {
  yield* serve
  const pool = yield* Layer.build(
    Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() }))
  )
  return yield* Client.make(EchoService).pipe(Effect.provide(RequestId.layer), Effect.provide(pool))
})

describe("RequestId", () => {
  it.each([
    [{ id: "proxy-1" }, "proxy-1#0"],
    [{ id: "a/b:c", retry: 3 }, "a/b:c#3"],
    [{ id: "100%, sure" }, "100%25%2C%20sure#0"],
    [{ id: "Zoë" }, "Zo%C3%AB#0"],
    [{ id: "\ud800" }, "%EF%BF%BD#0"],
    [{ id: "line\r\nbreak" }, "line%0D%0Abreak#0"],
    [{ id: "" }, "#0"]
  ])("%o is %s, which metadata carries", (requester, expected) => {
    assert.strictEqual(RequestId.make(requester), expected)
    assert.strictEqual(Metadata.get(Metadata.makeUnsafe({ [RequestId.key]: expected }), RequestId.key), expected)
  })

  it.effect("travels with a call of every kind, and logs and spans on both sides carry it", () => {
    const { layer, lines } = logs()
    const spans = recorder()
    return Effect.gen(function* () {
      const echo = yield* client
      const one = { text: "" }
      const texts = yield* Effect.gen(function* () {
        yield* Effect.log("asking")
        return [
          (yield* echo.echo(one)).text,
          (yield* echo.collect(Stream.make(one))).text,
          ...(yield* Stream.runCollect(echo.expand(one))).map(({ text }) => text),
          ...(yield* Stream.runCollect(echo.chat(Stream.make(one)))).map(({ text }) => text)
        ]
      }).pipe(RequestId.tag(id))
      assert.deepStrictEqual(texts, [id, id, id, id])
      assert.deepStrictEqual(
        lines.map(({ annotations, message }) => [message, annotations["request_id"]]),
        [["asking", id], ...[1, 2, 3, 4].map(() => ["handling", id])]
      )
      assert.strictEqual(spans.spans.length, 12)
      for (const span of spans.spans) assert.strictEqual(span.attributes.get("request_id"), id, span.name)
    }).pipe(Effect.provide(Layer.mergeAll(TestNetwork.layer, layer, spans.layer)))
  })

  it.effect("a stream can be tagged, and what is done outside is not", () =>
    Effect.gen(function* () {
      const echo = yield* client
      const tagged = yield* Stream.runCollect(RequestId.tag(id)(echo.expand({})))
      assert.deepStrictEqual(
        tagged.map(({ text }) => text),
        [id]
      )
      assert.strictEqual((yield* echo.echo({})).text, "undefined")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("an inner tag replaces an outer one, and a call's own metadata both", () =>
    Effect.gen(function* () {
      const echo = yield* client
      const inner = echo.echo({}).pipe(RequestId.tag("inner#0"), RequestId.tag("outer#0"))
      assert.strictEqual((yield* inner).text, "inner#0")
      const own = echo.echo({}).pipe(CallOptions.withMetadata({ [RequestId.key]: "own#0" }), RequestId.tag("inner#0"))
      assert.strictEqual((yield* own).text, "own#0")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("only clients that are told to send it do", () =>
    Effect.gen(function* () {
      yield* serve
      const echo = yield* clientOf("a:1")
      assert.strictEqual((yield* echo.echo({}).pipe(RequestId.tag(id))).text, "undefined")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect.each([
    ["several at once", ["a#0", "b#0"]],
    ["several joined", ["a#0, b#0"]],
    ["spaces", ["a b"]],
    ["too long", ["a".repeat(257)]],
    ["nothing", [""]]
  ] as const)("%s is no id", ([, values]) =>
    Effect.gen(function* () {
      const echo = yield* client
      const answer = yield* echo.echo({}).pipe(CallOptions.withMetadata({ [RequestId.key]: values }))
      assert.strictEqual(answer.text, "undefined")
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
