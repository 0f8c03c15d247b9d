/**
 * What it costs to watch a call, without a wire: a client over a transport that answers at once.
 *
 *   npm run -s build && npm run -s build:programs && node --expose-gc build/test/bench/observe.js
 *
 * About a minute. Each contender has a process of its own, as the program that it stands for would; this program is
 * all of them: without an argument it starts the others and compares what they say.
 */
import { Effect, Layer, Schema, Tracer } from "effect"
import { Client, type Interceptor, Metrics, Service, Transport } from "trunkline"
import * as Child from "./Child.ts"
import { spread } from "./Statistics.ts"

const Echo = Service.make("bench.Echo", { say: Service.unary(Schema.String, Schema.String) })

const answer = Effect.succeed({ message: "hello", headers: new Map(), trailers: new Map() })
const transport: Interceptor.Invoker = {
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
const rounds = 31

const asked = Effect.callback<void>((resume) => void process.once("message", () => resume(Effect.void)))

/** One contender: says microseconds a call, made one after the other by one fiber, whenever it is asked. */
const contend = (layer: Layer.Layer<never>) =>
  Effect.gen(function* () {
    const echo = yield* Effect.provideService(Client.make(Echo), Transport.Transport, transport)
    const call = echo.say("hello")
    process.send!("ready")
    while (true) {
      yield* asked
      global.gc?.()
      const start = process.cpuUsage()
      for (let i = 0; i < calls; i++) yield* call
      const { system, user } = process.cpuUsage(start)
      process.send!((user + system) / calls)
    }
  }).pipe(Effect.provide(layer))

const compare = Effect.gen(function* () {
  const names = Object.keys(contenders)
  const children = new Map<string, Child.Child>()
  for (const name of names) children.set(name, (yield* Child.start(new URL(import.meta.url), [name]))[0])
  const results = new Map(names.map((name) => [name, [] as Array<number>]))
  // The first rounds warm the machine up.
  for (let round = -5; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const micros = (yield* children.get(name)!.ask("go")) as number
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

const [contender] = process.argv.slice(2)
if (contender === undefined) await Effect.runPromise(Effect.scoped(compare))
else {
  process.once("disconnect", () => process.exit())
  await Effect.runPromise(contend(contenders[contender]!))
}
