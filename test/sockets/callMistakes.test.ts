/** What is said of mistakes that no connection makes: of lists, pools, ports and limits; the same on both wires. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Schema, Scope, Stream } from "effect"
import { CallOptions, Client, Handlers, Metadata, Service } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { type Adapter, adapters } from "../support/adapters.ts"
import { clientOf, transportOf } from "../support/socketClient.ts"
import { closedPort } from "../support/hostilePeers.ts"
import { mute } from "../support/muteServer.ts"

const hide = (text: string) => text.replace(/127\.0\.0\.1:\d+/g, "SERVER").replace(/waited \d+ ms/g, "waited")

const serve = (adapter: Adapter, handlers: Handlers.Handlers = echoHandlers("a")) =>
  Effect.map(adapter.serve({ handlers: [handlers] }), ({ address }) => address)

const saidOf = <A, R>(call: Effect.Effect<A, { readonly message: string }, R>) =>
  Effect.map(Effect.flip(call), ({ message }) => hide(message))

type Run = (adapter: Adapter) => Effect.Effect<string, unknown, Scope.Scope>

const down = "SERVER Down (connection refused by SERVER (ECONNREFUSED): is the server running, and is this its port?)"

const mistakes: ReadonlyArray<readonly [string, string, Run]> = [
  [
    "a server that says nothing",
    "[DEADLINE_EXCEEDED] SERVER has 1 peer, not ready; waited; SERVER Connecting (no answer yet: is this the server's port, and was there time enough?)",
    (adapter) =>
      Effect.gen(function* () {
        const echo = yield* clientOf(adapter, [yield* mute])
        return yield* saidOf(echo.lookup({}).pipe(CallOptions.withDeadline("100 millis")))
      })
  ],
  [
    "servers that are all down",
    `[UNAVAILABLE] SERVER, SERVER has 2 peers, none ready; waited; ${down}; ${down}`,
    (adapter) =>
      Effect.gen(function* () {
        const echo = yield* clientOf(adapter, [yield* closedPort, yield* closedPort])
        return yield* saidOf(echo.lookup({}))
      })
  ],
  [
    "a pool that was closed",
    "[UNAVAILABLE] the pool of SERVER is closed",
    (adapter) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const echo = yield* Scope.provide(clientOf(adapter, [yield* serve(adapter)]), scope)
        yield* Scope.close(scope, Exit.void)
        return yield* saidOf(echo.lookup({}))
      })
  ],
  ["no address", 'discovery of "": the list is empty', (adapter) => saidOf(clientOf(adapter, []))],
  [
    "an address without port",
    'discovery of "greeter": address "greeter": no port',
    (adapter) => saidOf(clientOf(adapter, ["greeter"]))
  ],
  [
    "a port in use",
    "cannot listen on SERVER: it is in use (EADDRINUSE): does another server listen there, or an earlier run of this one?",
    (adapter) =>
      Effect.gen(function* () {
        const port = Number((yield* serve(adapter)).split(":")[1])
        return yield* saidOf(adapter.serve({ handlers: [], port }))
      })
  ],
  [
    "an address that is not this machine's",
    "cannot listen on 203.0.113.1:0: this machine has no such address (EADDRNOTAVAIL)",
    (adapter) => saidOf(adapter.serve({ handlers: [], host: "203.0.113.1" }))
  ]
]

describe.each(adapters)("$name", (adapter) => {
  it.live.each(mistakes)("%s", ([, expected, run]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run(adapter), expected)
    })
  )

  it.live("a call that its server cannot serve names the method", () =>
    Effect.gen(function* () {
      const partial = Handlers.partial(EchoService, { echo: () => Effect.succeed({}) })
      const echo = yield* clientOf(adapter, [yield* serve(adapter, partial)])
      assert.match(yield* saidOf(echo.lookup({})), /^\[UNIMPLEMENTED\] .*method \/trunkline\.test\.EchoService\/Lookup/)
    })
  )

  it.live("a message over a limit names the limit", () =>
    Effect.gen(function* () {
      const address = yield* serve(adapter)
      for (const limit of ["maxSendMessageBytes", "maxReceiveMessageBytes"]) {
        const echo = yield* clientOf(adapter, [address], { connector: { [limit]: 1000 } })
        const said = yield* saidOf(echo.echo({ payload: new Uint8Array(2000) }))
        assert.match(said, /^\[RESOURCE_EXHAUSTED\] .*1000/, limit)
      }
    })
  )

  it.live("a deadline that is too short names the method, the peer and the time", () =>
    Effect.gen(function* () {
      const echo = yield* clientOf(adapter, [yield* serve(adapter)])
      yield* echo.echo({})
      const slow = { delayMillis: 10_000, count: 1 }
      const calls = { Echo: echo.echo(slow), Expand: Stream.runDrain(echo.expand(slow)) }
      for (const [method, call] of Object.entries(calls)) {
        const error = yield* Effect.flip(call.pipe(CallOptions.withDeadline("100 millis")))
        assert.deepStrictEqual([error.code, error.origin], ["DEADLINE_EXCEEDED", "local"])
        const said = `deadline exceeded after N ms: /trunkline.test.EchoService/${method} on SERVER`
        assert.include(hide(error.message).replace(/\d+ ms/, "N ms"), said)
      }
    })
  )

  it.live("metadata over the bound names the method, the option and the largest key", () =>
    Effect.gen(function* () {
      const echo = yield* clientOf(adapter, [yield* serve(adapter)])
      const said = yield* saidOf(echo.lookup({}).pipe(CallOptions.withMetadata({ big: "x".repeat(70_000) })))
      assert.strictEqual(
        said,
        "[RESOURCE_EXHAUSTED] cannot send /trunkline.test.EchoService/Lookup: metadata of 70035 bytes is over " +
          'maxMetadataBytes, 60000; its largest key is "big" with 70035'
      )
    })
  )

  it.live("messages of the wrong shape name the field, and whose they are", () =>
    Effect.gen(function* () {
      const Count = Schema.Struct({ n: Schema.Int })
      const Counter = Service.make("test.Counter", {
        add: Service.unary(Count, Count),
        each: Service.serverStreaming(Count, Count)
      })
      const handlers = Handlers.make(Counter, { add: Effect.succeed, each: (count) => Stream.make(count) })
      const transport = yield* transportOf(adapter, [yield* serve(adapter, handlers)])
      const counter = yield* Effect.provideContext(Client.make(Counter), transport)
      const wrong: { readonly n: number } = { n: 1.5 }
      const calls = { Add: counter.add(wrong), Each: Stream.runDrain(counter.each(wrong)) }
      for (const [method, call] of Object.entries(calls)) {
        assert.strictEqual(
          yield* saidOf(call),
          `[INTERNAL] cannot encode the request of /test.Counter/${method}: n: Expected an integer`
        )
      }
    })
  )
})

it("a key or a value that metadata cannot have is named where it is written", () => {
  for (const [input, said] of [
    [{ "my key": "x" }, 'metadata key "my key": a key is made of 0-9 a-z _ . -'],
    [{ "grpc-timeout": "1S" }, 'metadata key "grpc-timeout": keys starting with grpc- belong to the protocol'],
    [{ name: "Zo\u00eb" }, 'metadata key "name": text is printable ASCII; use a -bin key for the rest'],
    [{ "token-bin": "text" }, 'metadata key "token-bin": a -bin key carries bytes']
  ] as const) {
    const made = Metadata.make(input as Metadata.Input)
    assert.strictEqual(Result.isFailure(made) ? made.failure.message : "none", said)
  }
})
