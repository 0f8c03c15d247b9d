/**
 * A retry timeline without a socket and without waiting: the network is in memory and the clock is the test's.
 *
 * The only backend dies at 0 s and is back at 3 s. A call is tried every second, each try waits at most 100 ms for the
 * backend, and the program says exactly when it was answered.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/test-clock.js
 */
import { Clock, Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, Handlers, Retry, RoundRobin, Service, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"

const EchoService = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })

class Echo extends Client.Service<Echo>()("test-clock/Echo", EchoService) {}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

/** A policy is a plain Schedule, so a plain Schedule combinator can tell of each failed try. */
const everySecond = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second")).pipe(
  Retry.maxAttempts(10),
  Schedule.tap(({ attempt, input, now }) =>
    Effect.sync(() => console.log(`${seconds(now)}: try ${attempt} was ${input.code}`))
  )
)

const EchoLive = Echo.layer.pipe(
  Layer.provide(Retry.layer(everySecond)),
  Layer.provide(
    Balancer.layer({
      discovery: StaticDiscovery.make(["backend:1"]),
      picker: RoundRobin.make(),
      reconnect: Schedule.spaced("200 millis")
    })
  ),
  Layer.provideMerge(TestNetwork.layer)
)

const program = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  const echo = yield* Echo
  yield* network.serve("backend:1", { handlers: [Handlers.make(EchoService, { say: Effect.succeed })] })
  yield* network.kill("backend:1")

  const call = yield* Effect.forkChild(
    Effect.gen(function* () {
      const answer = yield* echo.say("hello")
      console.log(`${seconds(yield* Clock.currentTimeMillis)}: ${answer}`)
    })
  )
  yield* TestClock.adjust("2500 millis")
  yield* network.restart("backend:1")
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(call)
}).pipe(Effect.provide(EchoLive), Effect.scoped)

// => 0.0 s: try 1 was UNAVAILABLE
// => 1.0 s: try 2 was UNAVAILABLE
// => 2.0 s: try 3 was UNAVAILABLE
// => 3.0 s: hello
await Effect.runPromise(Effect.provide(program, TestClock.layer()))
