/**
 * What retries add to a call that needs none.
 *
 * A transport that answers at once takes the wire out of it. Both contenders make the same call through the same code; one
 * goes through the client's attempts, with a policy and a budget, the other does not. They take turns, and the median
 * of the differences counts.
 *
 *   npm run -s bench:success
 */
import { Clock, Effect, Stream } from "effect"
import { getHeapStatistics } from "node:v8"
import {
  Backoff,
  CallOptions,
  Client,
  Deadline,
  Interceptor,
  MethodPolicy,
  Retry,
  Service,
  Tracing,
  Transport
} from "trunkline"
import { Call } from "trunkline/extend"
import { EchoService } from "../gen/echo_pb.ts"
import * as Statistics from "./Statistics.ts"

const calls = 100_000
const rounds = 25

const answer = Effect.succeed({ message: { text: "hello" }, headers: new Map(), trailers: new Map() })

const transport: Interceptor.Invoker = {
  unary: () => answer as never,
  stream: () =>
    Effect.succeed({ headers: Effect.succeed(new Map()), messages: Stream.empty, trailers: answer }) as never
}

const traced = Interceptor.apply(Tracing.calls(), transport)

const { echo } = Service.from(EchoService).methods

/** What a client does for a call besides its attempts. */
const bare = Effect.map(
  Effect.withFiber((fiber) => {
    const invoker = Tracing.isOn(fiber) ? traced : transport
    const options = MethodPolicy.applyTo(fiber.getRef(CallOptions.Current), undefined)
    return invoker.unary(
      echo as never,
      {},
      new Call.Call(options, fiber.getRef(Clock.Clock), fiber.getRef(Deadline.Current))
    )
  }),
  ({ message }) => message
)

const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()).pipe(Retry.maxAttempts(4))

const retried = Effect.gen(function* () {
  const client = yield* Client.make(EchoService)
  return client.echo({})
}).pipe(Effect.provide(Retry.layer(policy)), Effect.provideService(Transport.Transport, transport))

interface Cost {
  readonly nanos: number
  readonly bytes: number
}

const gc = (globalThis as { gc?: () => void }).gc

/** The young generation holds a whole round, so that what is allocated is still there to be counted. */
const measure = Effect.fnUntraced(function* (call: Effect.Effect<unknown, unknown>) {
  gc?.()
  const heap = getHeapStatistics().used_heap_size
  const start = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) yield* call
  const nanos = Number(process.hrtime.bigint() - start) / calls
  return { nanos, bytes: (getHeapStatistics().used_heap_size - heap) / calls } satisfies Cost
})

const main = Effect.gen(function* () {
  const through = yield* retried
  yield* measure(bare)
  yield* measure(through)
  const pairs: Array<readonly [Cost, Cost]> = []
  for (let i = 0; i < rounds; i++) {
    const first = yield* measure(i % 2 === 0 ? bare : through)
    const second = yield* measure(i % 2 === 0 ? through : bare)
    pairs.push(i % 2 === 0 ? [first, second] : [second, first])
  }
  const rows: ReadonlyArray<readonly [string, (pair: readonly [Cost, Cost]) => Cost]> = [
    ["without attempts", ([a]) => a],
    ["with a policy and a budget", ([, b]) => b],
    ["difference", ([a, b]) => ({ nanos: b.nanos - a.nanos, bytes: b.bytes - a.bytes })]
  ]
  const cells = (name: string, ...values: ReadonlyArray<string>) =>
    console.log(name.padEnd(28) + values.map((value) => value.padStart(12)).join(""))
  cells("", "ns/call", "quietest", "bytes/call")
  // Other work on the machine only ever adds: the quietest round of each says most of the code.
  const quietest = rows.map(([, of]) => Statistics.spread(pairs.map((pair) => of(pair).nanos)).min)
  quietest[2] = quietest[1]! - quietest[0]!
  for (const [index, [name, of]] of rows.entries()) {
    const nanos = Statistics.spread(pairs.map((pair) => of(pair).nanos)).median
    const bytes = Statistics.spread(pairs.map((pair) => of(pair).bytes)).median
    cells(name, nanos.toFixed(0), quietest[index]!.toFixed(0), bytes.toFixed(0))
  }
})

Effect.runPromise(main as Effect.Effect<void>)
