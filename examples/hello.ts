/**
 * The first program: a service, its server and a client that calls it.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/hello.js
 */
import { Effect, Layer, Schema } from "effect"
import { Client, Handlers, Service } from "trunkline"
import { Http2Channel, Http2Server } from "trunkline/http2"

const GreeterService = Service.make("demo.Greeter", { sayHello: Service.unary(Schema.String, Schema.String) })

const GreeterServer = Http2Server.layer({
  host: "localhost",
  port: 50051,
  handlers: [Handlers.make(GreeterService, { sayHello: (name) => Effect.succeed(`Hello, ${name}`) })]
})

class Greeter extends Client.Service<Greeter>()("app/Greeter", GreeterService) {}
const GreeterLive = Greeter.layer.pipe(Layer.provide(Http2Channel.layer("localhost:50051")))

const hello = Effect.gen(function* () {
  const greeter = yield* Greeter
  console.log(yield* greeter.sayHello("Ada")) // => Hello, Ada
})
await Effect.runPromise(hello.pipe(Effect.provide(GreeterLive), Effect.provide(GreeterServer)))
