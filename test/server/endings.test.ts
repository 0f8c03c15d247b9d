/** However a call ends, the client, the server's log and the server's metrics say the same code. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, References, Schema, type Scope, Stream } from "effect"
import {
  Balancer,
  CallLogger,
  Client,
  ErrorMapper,
  Handlers,
  Interceptor,
  RoundRobin,
  RpcError,
  type Server,
  Service,
  StaticDiscovery
} from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { frame } from "../../src/http2/Framing.ts"
import * as Raw from "../support/rawFrames.ts"
import { measured, numbers } from "../support/numbers.ts"
import { adapters } from "../support/adapters.ts"
import { memory, sockets, type Wire } from "../support/wires.ts"

const Shop = Service.make("demo.Shop", {
  buy: Service.unary(Schema.String, Schema.NonEmptyString),
  list: Service.serverStreaming(Schema.String, Schema.NonEmptyString),
  fill: Service.clientStreaming(Schema.String, Schema.NonEmptyString),
  chat: Service.bidiStreaming(Schema.String, Schema.NonEmptyString)
})

/** The same service as a client sees it that has another idea of its requests. */
const Skewed = Service.make("demo.Shop", {
  buy: Service.unary(Schema.Unknown, Schema.String),
  list: Service.serverStreaming(Schema.Unknown, Schema.String),
  fill: Service.clientStreaming(Schema.Unknown, Schema.String),
  chat: Service.bidiStreaming(Schema.Unknown, Schema.String)
})

type Kind = keyof typeof Shop.methods
const kinds: ReadonlyArray<Kind> = ["buy", "list", "fill", "chat"]
const pathOf = (kind: Kind): string => Shop.methods[kind].path

type Ask = (client: Client.Client<typeof Skewed>, request: unknown) => Effect.Effect<unknown, RpcError.RpcError>
const asks: Readonly<Record<Kind, Ask>> = {
  buy: (client, request) => client.buy(request),
  list: (client, request) => Stream.runCollect(client.list(request)),
  fill: (client, request) => client.fill(Stream.make(request)),
  chat: (client, request) => Stream.runCollect(client.chat(Stream.make(request)))
}

class Bug extends Error {}

/** What a handler does with what it is asked. */
const outcomes: Readonly<Record<string, () => Effect.Effect<string, RpcError.RpcError>>> = {
  good: () => Effect.succeed("good"),
  fails: () => Effect.fail(RpcError.make("ABORTED", "a conflict")),
  dies: () => Effect.die(new Bug("shelf 7 fell")),
  "is wrong": () => Effect.succeed(""),
  "interrupts itself": () => Effect.interrupt
}

const act = (text: string): Effect.Effect<string, RpcError.RpcError> => {
  const outcome = outcomes[text]
  // A handler's function may also throw.
  if (outcome === undefined) throw new Bug("no such shelf")
  return outcome()
}

/** Streams answer once before they do what they are asked. */
const slowly = (text: string) => Stream.concat(Stream.make("first"), Stream.fromEffect(act(text)))

const shop = Handlers.make(Shop, {
  buy: act,
  list: (text) => (outcomes[text] === undefined ? Stream.fromEffect(act(text)) : slowly(text)),
  fill: (texts) => Effect.flatMap(Stream.runCollect(texts), ([text = ""]) => act(text)),
  chat: (texts) => Stream.flatMap(texts, slowly)
})

interface Line {
  readonly level: string
  readonly text: string
  readonly code: unknown
  readonly defect: unknown
  readonly annotations: string
}

/** Keeps what is logged. */
const logs = () => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    const died = cause.reasons.find(Cause.isDieReason)
    lines.push({
      level: logLevel,
      text: String(message),
      code: annotations["code"],
      defect: died?.defect,
      annotations: JSON.stringify(annotations)
    })
  })
  return { lines, layer: Logger.layer([logger]) }
}

interface Place {
  readonly name: string
  readonly wire: Wire
  readonly serve: (
    options: Server.Options<never>
  ) => Effect.Effect<string, unknown, TestNetwork.TestNetwork | Scope.Scope>
  readonly layer: Wire["layer"]
}

const places: ReadonlyArray<Place> = [
  {
    name: "in memory",
    wire: memory,
    layer: memory.layer,
    serve: (options) =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        yield* network.serve("shop:1", options)
        return "shop:1"
      })
  },
  ...adapters.map(({ connector, name, serve }) => ({
    name: `over ${name}`,
    wire: sockets,
    layer: Layer.merge(TestNetwork.layer, Layer.orDie(connector())),
    serve: (options: Server.Options<never>) => Effect.map(serve(options), ({ address }) => address)
  }))
]

const connect = (address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(Skewed), pool)
  )

/** The codes that the server's metrics have counted. */
const counted = Effect.map(numbers, (all) =>
  all
    .filter(({ id, number }) => id === "grpc.server.call.duration" && number > 0)
    .flatMap(({ labels, number }) =>
      Array.from({ length: number }, () => (labels as Readonly<Record<string, string>>)["grpc.status"])
    )
)

const ends: ReadonlyArray<readonly [what: string, request: unknown, code: string, defects: number]> = [
  ["good", "good", "OK", 0],
  ["a typed failure", "fails", "ABORTED", 0],
  ["a defect", "dies", "INTERNAL", 1],
  ["a function that throws", "no such thing", "INTERNAL", 1],
  ["a response that does not encode", "is wrong", "INTERNAL", 0],
  ["a request that does not decode", 5, "INVALID_ARGUMENT", 0]
]

describe.each(places)("however a call ends $name", ({ layer, serve, wire }) => {
  for (const kind of kinds) {
    wire.it.each(ends)(`${kind}: %s`, ([_what, request, code, defects]) =>
      Effect.gen(function* () {
        const { layer: logging, lines } = logs()
        yield* Effect.gen(function* () {
          const address = yield* serve({ handlers: [shop], interceptor: CallLogger.make() })
          const exit = yield* Effect.exit(asks[kind](yield* connect(address), request))
          const told = Exit.isSuccess(exit) ? "OK" : (exit.cause.reasons.find(Cause.isFailReason)?.error.code ?? "none")
          assert.strictEqual(told, code)
          if (Exit.isFailure(exit)) assert.notInclude(Cause.pretty(exit.cause), "shelf")
          assert.deepStrictEqual(yield* counted, [code])
        }).pipe(Effect.scoped, Effect.provide(logging))
        const calls = lines.filter(({ text }) => text.startsWith(`${pathOf(kind)} `))
        assert.deepStrictEqual(
          calls.map((line) => [line.text, line.code]),
          [[`${pathOf(kind)} ${code}`, code]]
        )
        // The defect is in the line of the call, and in no other.
        assert.strictEqual(lines.filter(({ defect }) => defect instanceof Bug).length, defects)
      }).pipe(Effect.provide(Layer.merge(layer, measured())))
    )
  }

  wire.it.each(kinds.map((kind) => [kind] as const))(
    "%s: without a logger in front, a defect is logged once",
    ([kind]) =>
      Effect.gen(function* () {
        const { layer: logging, lines } = logs()
        yield* Effect.gen(function* () {
          const address = yield* serve({ handlers: [shop] })
          yield* Effect.exit(asks[kind](yield* connect(address), "dies"))
        }).pipe(Effect.scoped, Effect.provide(logging))
        assert.deepStrictEqual(
          lines
            .filter(({ level }) => level !== "Debug")
            .map(({ defect, level, text }) => [level, text, String(defect)]),
          [["Error", `the handler of ${pathOf(kind)} died`, "Error: shelf 7 fell"]]
        )
        assert.include(lines[0]!.annotations, pathOf(kind))
      }).pipe(Effect.provide(layer))
  )

  wire.it("a logger that is silent does not hide a defect", () =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      yield* Effect.gen(function* () {
        const interceptor = CallLogger.make({ level: () => undefined })
        const address = yield* serve({ handlers: [shop], interceptor })
        yield* Effect.exit(asks.buy(yield* connect(address), "dies"))
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ defect, level }) => [level, String(defect)]),
        [["Error", "Error: shelf 7 fell"]]
      )
    }).pipe(Effect.provide(layer))
  )

  wire.it("what a mapper makes of a defect is the end of it", () =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      yield* Effect.gen(function* () {
        const mapper = ErrorMapper.make(() => RpcError.make("RESOURCE_EXHAUSTED", "out of stock"))
        const interceptor = Interceptor.compose([CallLogger.make(), mapper])
        const address = yield* serve({ handlers: [shop], interceptor })
        yield* Effect.exit(asks.chat(yield* connect(address), "dies"))
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ code, defect, level }) => [level, code, defect]),
        [["Warn", "RESOURCE_EXHAUSTED", undefined]]
      )
    }).pipe(Effect.provide(layer))
  )

  wire.it.each(["buy", "chat"] as const)("an interceptor that dies is logged as well: %s", (kind) =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      const broken: Interceptor.Interceptor = {
        unary: () => () => {
          throw new Bug("no guard")
        },
        stream: () => () => Effect.die(new Bug("no guard"))
      }
      yield* Effect.gen(function* () {
        const address = yield* serve({ handlers: [shop], interceptor: broken })
        const error = yield* Effect.flip(asks[kind](yield* connect(address), "good"))
        assert.deepStrictEqual([error.code, error.reason.message], ["INTERNAL", "internal error"])
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ defect, level }) => [level, String(defect)]),
        [["Error", "Error: no guard"]]
      )
    }).pipe(Effect.provide(layer))
  )

  wire.it.each(kinds.map((kind) => [kind] as const))("%s: a client that leaves is CANCELLED", ([kind]) =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      yield* Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const over = yield* Deferred.make<void>()
        const hang = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.ensuring(Deferred.succeed(over, undefined))
        )
        const hanging = Handlers.make(Shop, {
          buy: () => hang,
          list: () => Stream.fromEffect(hang),
          fill: () => hang,
          chat: () => Stream.fromEffect(hang)
        })
        const address = yield* serve({ handlers: [hanging], interceptor: CallLogger.make() })
        const fiber = yield* Effect.forkChild(asks[kind](yield* connect(address), "good"))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(over)
        // What the server writes of the call comes after its handler.
        while (lines.length === 0) yield* wire.pass("1 millis")
        assert.deepStrictEqual(yield* counted, ["CANCELLED"])
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ code }) => code),
        ["CANCELLED"]
      )
    }).pipe(Effect.provide(Layer.merge(layer, measured())))
  )
})

describe.each(adapters)("over $name", ({ name, serve }) => {
  it.live.each(["buy", "chat"] as const)("%s: the deadline of a client that goes on listening", (kind) =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      yield* Effect.gen(function* () {
        const hanging = Handlers.partial(Shop, {
          buy: () => Effect.never,
          chat: () => Stream.never
        })
        const { address } = yield* serve({ handlers: [hanging], interceptor: CallLogger.make() })
        const request = frame(new TextEncoder().encode('"good"'), false)
        const said = yield* Raw.request(address, { ":path": pathOf(kind), "grpc-timeout": "30m" }, [request])
        assert.strictEqual(said.headers["grpc-status"] ?? said.trailers["grpc-status"], "4", name)
        while (lines.length === 0) yield* Effect.sleep("1 millis")
        assert.deepStrictEqual(yield* counted, ["DEADLINE_EXCEEDED"])
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ code }) => code),
        ["DEADLINE_EXCEEDED"]
      )
    }).pipe(Effect.provide(measured()))
  )
})

describe("over HTTP/2", () => {
  const { serve } = adapters.find(({ name }) => name === "HTTP/2")!

  it.live.each(["buy", "chat"] as const)("%s: a server that stops", (kind) =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      const said = yield* Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const hang = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        const hanging = Handlers.partial(Shop, { buy: () => hang, chat: () => Stream.fromEffect(hang) })
        const { address } = yield* serve({
          handlers: [hanging],
          interceptor: CallLogger.make(),
          drainTimeout: "1 millis"
        })
        const request = frame(new TextEncoder().encode('"good"'), false)
        const call = yield* Effect.forkDetach(Raw.request(address, { ":path": pathOf(kind) }, [request]))
        yield* Deferred.await(begun)
        return call
      }).pipe(
        Effect.scoped,
        Effect.flatMap((call) => Fiber.join(call)),
        Effect.provide(logging)
      )
      assert.strictEqual(said.headers["grpc-status"] ?? said.trailers["grpc-status"], "14")
      assert.deepStrictEqual(yield* counted, ["UNAVAILABLE"])
      assert.deepStrictEqual(
        lines.map(({ code }) => code),
        ["UNAVAILABLE"]
      )
    }).pipe(Effect.provide(measured()))
  )

  it.live("a stream of requests that is none", () =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      yield* Effect.gen(function* () {
        const { address } = yield* serve({ handlers: [shop], interceptor: CallLogger.make() })
        const said = yield* Raw.request(address, { ":path": pathOf("chat") }, [Buffer.from("hello, world")])
        assert.strictEqual(said.headers["grpc-status"] ?? said.trailers["grpc-status"], "13")
        while (lines.length === 0) yield* Effect.sleep("1 millis")
        assert.deepStrictEqual(yield* counted, ["INTERNAL"])
      }).pipe(Effect.scoped, Effect.provide(logging))
      assert.deepStrictEqual(
        lines.map(({ code }) => code),
        ["INTERNAL"]
      )
    }).pipe(Effect.provide(measured()))
  )
})

describe("the drain of handlers that dies", () => {
  it.effect("is logged, and the server stops all the same", () =>
    Effect.gen(function* () {
      const { layer: logging, lines } = logs()
      let drained = false
      const bad = Handlers.make(
        Shop,
        { buy: act, list: slowly, fill: () => act("good"), chat: () => slowly("good") },
        {
          drain: Effect.die(new Bug("the drain is blocked"))
        }
      )
      const network = yield* TestNetwork.TestNetwork
      yield* network
        .serve("shop:1", { handlers: [bad], onDrain: Effect.sync(() => void (drained = true)) })
        .pipe(Effect.scoped, Effect.provide(logging))
      assert.isTrue(drained)
      assert.deepStrictEqual(
        lines.map(({ defect, level, text }) => [level, text, String(defect)]),
        [["Error", "the drain of demo.Shop died; the server stops all the same", "Error: the drain is blocked"]]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
