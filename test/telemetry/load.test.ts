/** Under load, what metrics say is what happened, to the call. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule } from "effect"
import {
  Balancer,
  Client,
  Code,
  type Interceptor,
  Retry,
  RoundRobin,
  RpcError,
  StaticDiscovery,
  Transport
} from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"
import { measured, numbers } from "../support/numbers.ts"

class Tally {
  readonly counts = new Map<string, number>()

  add(key: string): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }

  exit(exit: Exit.Exit<unknown, RpcError.RpcError>): void {
    this.add(Exit.isSuccess(exit) ? "OK" : RpcError.fromCause(exit.cause).code)
  }
}

/** Counts what passes, by how it ends. */
const counting = (tally: Tally): Interceptor.Interceptor => ({
  unary: (next) => (method, request, call) =>
    Effect.suspend(() => {
      tally.add("begun")
      return Effect.onExit(next(method, request, call), (exit) => Effect.sync(() => tally.exit(exit)))
    }),
  stream: (next) => next
})

const recorded = (id: string) =>
  Effect.map(numbers, (all) =>
    Object.fromEntries(
      all.filter((one) => one.id === id).map(({ labels, number }) => [labels["grpc.status"] ?? "begun", number])
    )
  )

const withoutBegun = (tally: Tally) => Object.fromEntries([...tally.counts].filter(([key]) => key !== "begun"))

describe.each(wires)("$name", (wire) => {
  wire.it(
    "counts of calls, attempts and what was served are exact",
    () =>
      Effect.gen(function* () {
        const inside = new Tally()
        const served = new Tally()
        const addresses = yield* Effect.forEach(["a", "b"], (name) => {
          const handlers = echoHandlers(name)
          const counted = Effect.map(handlers.build, (all) =>
            all.map(({ invoker, method }) => ({
              method,
              invoker: { ...invoker, unary: counting(served).unary(invoker.unary) }
            }))
          )
          return wire.serve([{ ...handlers, build: counted }])
        })
        const pool = yield* Layer.build(
          Layer.provide(
            Transport.intercept(counting(inside)),
            Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make(addresses), picker: RoundRobin.make() }))
          )
        )
        const echo = yield* Effect.provide(Client.make(EchoService), pool)

        const outside = new Tally()
        const retried = Retry.withPolicy(
          Retry.onCodes(["ABORTED"], Schedule.max([Schedule.spaced("1 millis"), Schedule.recurs(2)]))
        )
        const one = (i: number) => {
          const failCode = i % 5 === 0 ? Code.toNumber(Code.all[i % 16]!) : 0
          const call = retried(echo.echo({ text: `${i}`, failCode, delayMillis: i % 7 === 0 ? 500 : 0 }))
          const left = i % 7 === 0 ? Effect.timeoutOption(Effect.exit(call), 1) : Effect.asSome(Effect.exit(call))
          return Effect.map(left, (ended) => {
            if (ended._tag === "Some") outside.exit(ended.value)
            else outside.add("CANCELLED")
          })
        }
        const load = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 350 }, (_, i) => i),
            one,
            { concurrency: 8, discard: true }
          )
        )
        while (load.pollUnsafe() === undefined) yield* wire.pass("20 millis")
        yield* Fiber.join(load)
        // The servers have heard of the last cancellations.
        yield* wire.pass("200 millis")

        assert.deepStrictEqual(yield* recorded("grpc.client.call.duration"), withoutBegun(outside))
        assert.deepStrictEqual(yield* recorded("grpc.client.attempt.duration"), withoutBegun(inside))
        assert.deepStrictEqual(yield* recorded("grpc.client.attempt.started"), { begun: inside.counts.get("begun")! })
        assert.deepStrictEqual(yield* recorded("grpc.server.call.started"), { begun: served.counts.get("begun")! })
        assert.deepStrictEqual(yield* recorded("grpc.server.call.duration"), withoutBegun(served))
        assert.isAbove(inside.counts.get("ABORTED")!, outside.counts.get("ABORTED")!)
        assert.isAbove(outside.counts.get("CANCELLED")!, 40)
      }).pipe(Effect.provide(Layer.provideMerge(wire.layer, measured()))),
    30_000
  )
})
