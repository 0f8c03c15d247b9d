/** How far a call got, as grpc-js tells it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import {
  Balancer,
  Call,
  CallOptions,
  Client,
  type Connector,
  Deadline,
  GrpcJsConnector,
  GrpcJsServer,
  Handlers,
  Retry,
  RoundRobin,
  RpcError,
  Service,
  StaticDiscovery
} from "trunkline"
import { endpoint } from "../endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

describe("how far a call got", () => {
  /** The unary call of a connection, whatever its state. */
  const callOn = (connection: Connector.Connection) =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const call = new Call.Call(CallOptions.Current.defaultValue(), clock, Deadline.none)
      return connection.transport.unary(Service.from(EchoService).methods.echo, {}, call)
    })

  it.live("nowhere: no connection, and one that is closed", () =>
    Effect.gen(function* () {
      const connector = GrpcJsConnector.make()
      const scope = yield* Scope.make()
      const connection = yield* Scope.provide(connector.connect(endpoint("127.0.0.1:1")), scope)
      const refused = yield* Effect.flip(callOn(connection))
      yield* Scope.close(scope, Exit.void)
      const closed = yield* Effect.flip(callOn(connection))
      for (const error of [refused, closed]) {
        assert.deepStrictEqual(
          [error.code, error.progress, error.origin, error.answered],
          ["UNAVAILABLE", "not_started", "local", false]
        )
      }
      assert.include(refused.message, "No connection established")
    })
  )

  it.live("to a handler: it may have run, and answered or not", () =>
    Effect.gen(function* () {
      const handlers = Handlers.make(EchoService, {
        echo: (request, call) =>
          Effect.andThen(request.count > 0 ? call.sendHeaders : Effect.void, RpcError.make("UNAVAILABLE", "later")),
        lookup: () => Effect.succeed({}),
        expand: () => Stream.empty,
        collect: () => Effect.succeed({}),
        chat: () => Stream.empty
      })
      const server = yield* GrpcJsServer.make({ handlers: [handlers] })
      const pool = Balancer.layer({ discovery: StaticDiscovery.make([server.address]), picker: RoundRobin.make() })
      const transport = yield* Layer.build(Layer.provide(pool, GrpcJsConnector.layer()))
      const echo = yield* Effect.provideContext(Client.make(EchoService), transport)
      const bare = yield* Effect.flip(echo.echo({}))
      const begun = yield* Effect.flip(echo.echo({ count: 1 })).pipe(
        Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Schedule.forever))
      )
      assert.deepStrictEqual(
        [bare, begun].map(({ answered, progress, stopped }) => [progress, answered, stopped]),
        [
          ["processed", false, "not_retryable"],
          ["processed", true, "committed"]
        ]
      )
    })
  )
})
