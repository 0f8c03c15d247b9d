/**
 * The layers of an application: a generated service, DNS, a load-aware picker and a retry policy.
 *
 *   npm run -s build:programs && node build/examples/layers.js
 */
import { Effect, Layer } from "effect"
import { Backoff, Balancer, CallOptions, Client, Handlers, PeakEwma, PowerOfTwo, Retry } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import { Greeter as GreeterService } from "../test/gen/greeter_pb.ts"

class Greeter extends Client.Service<Greeter>()("app/Greeter", GreeterService) {}

const greeterAt = (target: string) =>
  Greeter.layer.pipe(
    Layer.provide(
      Retry.layer(
        Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis" })).pipe(Retry.maxAttempts(4))
      )
    ),
    Layer.provide(
      Balancer.layer({
        discovery: target,
        picker: PowerOfTwo.make({ load: PeakEwma.make() })
      })
    ),
    Layer.provide(GrpcJsConnector.layer())
  )

const hello = Effect.gen(function* () {
  const greeter = yield* Greeter
  const reply = yield* greeter.sayHello({ name: "Ada" })
  return reply.message
}).pipe(
  CallOptions.withDeadline("2 seconds"),
  Effect.catchReason("RpcError", "NotFound", () => Effect.succeed("nobody there"))
)

const program = Effect.gen(function* () {
  const { address } = yield* GrpcJsServer.make({
    handlers: [Handlers.make(GreeterService, { sayHello: ({ name }) => Effect.succeed({ message: `Hello, ${name}` }) })]
  })
  const port = address.split(":")[1]
  console.log(yield* Effect.provide(hello, greeterAt(`localhost:${port}`))) // => Hello, Ada
})

await Effect.runPromise(Effect.scoped(program))
