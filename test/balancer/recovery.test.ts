/** A backend that was away gets its share again soon after it is back: 400 calls a second over three of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random, Schedule, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, PeakEwma, PowerOfTwo, Retry, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const hosts = ["a:1", "b:1", "c:1"]

const backends = Balancer.layer({
  discovery: StaticDiscovery.make(hosts),
  picker: PowerOfTwo.make({ load: PeakEwma.make() }),
  reconnect: Schedule.spaced("200 millis")
}).pipe(
  Layer.provideMerge(TestNetwork.layer),
  Layer.provide(
    Retry.layer(
      Retry.onCodes(["UNAVAILABLE", "DEADLINE_EXCEEDED"], Schedule.spaced("10 millis")).pipe(Retry.maxAttempts(5))
    )
  )
)

/** A network of three hosts, and a load that says how many answers each gave. */
const scenario = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  yield* Effect.forEach(hosts, (host) => network.serve(host, { handlers: [echoHandlers(host)] }))
  const echo = yield* Client.make(EchoService)
  const answers: Array<string> = []
  const call = echo.echo({ delayMillis: 4 }).pipe(
    CallOptions.withTimeout("250 millis"),
    CallOptions.withDeadline("5 seconds"),
    Effect.map((reply) => void answers.push(reply.server))
  )
  const load = Effect.fnUntraced(function* (millis: number) {
    answers.length = 0
    for (let t = 0; t < millis; t += 2.5) {
      yield* Effect.forkScoped(call)
      yield* TestClock.adjust(2.5)
    }
    return (host: string) => answers.filter((answer) => answer === host).length / answers.length
  })
  return { load, network }
})

const run = <A, E>(program: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof backends>>) =>
  program.pipe(Effect.scoped, Effect.provide(backends), Random.withSeed("recovery"))

describe("with P2C over Peak EWMA", () => {
  it.effect(
    "a killed backend has its share again within seconds of its restart",
    () =>
      Effect.gen(function* () {
        const { load, network } = yield* scenario
        yield* load(2000)
        yield* network.kill("b:1")
        assert.strictEqual((yield* load(2000))("b:1"), 0)
        yield* network.restart("b:1")
        yield* load(500)
        assert.isAbove((yield* load(2000))("b:1"), 0.2)
      }).pipe(run),
    30_000
  )

  it.effect(
    "a frozen backend gets almost nothing, and its share again when it is well",
    () =>
      Effect.gen(function* () {
        const { load, network } = yield* scenario
        yield* load(2000)
        yield* network.freeze("c:1")
        assert.isBelow((yield* load(4000))("c:1"), 0.02)
        yield* network.thaw("c:1")
        yield* load(5000)
        assert.isAbove((yield* load(2000))("c:1"), 0.2)
      }).pipe(run),
    30_000
  )
})
