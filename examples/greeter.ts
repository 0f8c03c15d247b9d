/**
 * A service described with Schema, its server and its client, in one file and over a real socket.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/greeter.js
 */
import { Effect, Layer, Schema } from "effect"
import {
  Balancer,
  CallOptions,
  Client,
  Handlers,
  RoundRobin,
  RpcError,
  Server,
  Service,
  StaticDiscovery
} from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"

const GreeterService = Service.make("demo.Greeter", {
  sayHello: Service.unary(Schema.Struct({ name: Schema.NonEmptyString }), Schema.Struct({ message: Schema.String }))
})

const GreeterServer = GrpcJsServer.layer({
  handlers: [
    Handlers.make(GreeterService, {
      sayHello: ({ name }) =>
        name === "nobody"
          ? Effect.fail(RpcError.make("NOT_FOUND", "nobody is here"))
          : Effect.succeed({ message: `Hello, ${name}` })
    })
  ]
})

class Greeter extends Client.Service<Greeter>()("greeter/Greeter", GreeterService) {}

/** A client of the server, wherever it was bound. */
const GreeterLive = Layer.unwrap(
  Effect.map(Server.Server, ({ address }) =>
    Greeter.layer.pipe(
      Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })),
      Layer.provide(GrpcJsConnector.layer())
    )
  )
)

const program = Effect.gen(function* () {
  const greeter = yield* Greeter
  const { message } = yield* greeter.sayHello({ name: "Ada" })
  console.log(message) // => Hello, Ada

  const answer = yield* greeter.sayHello({ name: "nobody" }).pipe(
    Effect.map((reply) => reply.message),
    Effect.catchReason("RpcError", "NotFound", (reason) => Effect.succeed(`not found: ${reason.message}`))
  )
  console.log(answer) // => not found: nobody is here
}).pipe(CallOptions.withDeadline("2 seconds"))

await Effect.runPromise(program.pipe(Effect.provide(GreeterLive), Effect.provide(GreeterServer)))
