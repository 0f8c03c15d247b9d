/**
 * What it costs to watch a call, without a wire: a client over a transport that answers at once.
 *
 *   npm run -s build && npm run -s build:programs && node --expose-gc build/test/bench/observe.js
 *
 * About twenty seconds.
 */
import { Effect, Layer, Schema, Tracer } from "effect"
import { Client, type Interceptor, Metrics, Service, Transport } from "trunkline"
import { spread } from "./Statistics.ts"

const Echo = Service.make("bench.Echo", { say: Service.unary(Schema.String, Schema.String) })

const answer = Effect.succeed({ message: "hello", headers: new Map(), trailers: new Map() })
const transport: Interceptor.Arrows = {
  target: "bench:1",
  unary: () => answer as never,
  stream: () => Effect.die("there are no streams here")
}

const tracer = Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))

/** What is watched, and how. */
const contenders: Readonly<Record<string, Layer.Layer<never>>> = {
  "nothing (off)": Layer.empty,
  metrics: Metrics.layer(),
  spans: tracer,
  "metrics and spans": Layer.merge(Metrics.layer(), tracer)
}

const calls = 20_000
const rounds = 15

/** Microseconds a call, made one after the other by one fiber. */
const measure = (layer: Layer.Layer<never>) =>
  Effect.gen(function* () {
    const echo = yield* Effect.provideService(Client.make(Echo), Transport.Transport, transport)
    const call = echo.say("hello")
    global.gc?.()
    const start = process.cpuUsage()
    for (let i = 0; i < calls; i++) yield* call
    const { system, user } = process.cpuUsage(start)
    return (user + system) / calls
  }).pipe(Effect.provide(layer))

const program = Effect.gen(function* () {
  const names = Object.keys(contenders)
  const results = new Map(names.map((name) => [name, [] as Array<number>]))
  // The first rounds warm the machine up.
  for (let round = -3; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const micros = yield* measure(contenders[name]!)
      if (round >= 0) results.get(name)!.push(micros)
    }
  }
  console.log(`CPU of one unary call without a wire, microseconds; median of ${rounds} rounds of ${calls} calls`)
  for (const [name, values] of results) {
    const { max, median, min } = spread(values)
    const more = spread(values.map((value, round) => value - results.get(names[0]!)![round]!)).median
    console.log(
      `${name.padEnd(20)}${median.toFixed(2).padStart(7)}  ${min.toFixed(2)}-${max.toFixed(2)}  ${more >= 0 ? "+" : ""}${more.toFixed(2)}`
    )
  }
})

await Effect.runPromise(program)
