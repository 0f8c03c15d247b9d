import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Stream } from "effect"
import { CallOptions, Interceptor, Metadata, RpcError, Service } from "trunkline"
import { Call } from "trunkline/extend"
import { EchoService } from "../gen/echo_pb.ts"

const { echo, expand } = Service.from(EchoService).methods
const request = { text: "x" }

/** Writes down when calls pass it, in both directions. */
const noting = (log: Array<string>, name: string): Interceptor.Interceptor => {
  const around = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      log.push(`> ${name}`)
      return Effect.onExit(effect, (exit) => Effect.sync(() => log.push(`${Exit.isSuccess(exit) ? "<" : "x"} ${name}`)))
    })
  return {
    unary: (next) => (method, message, call) => around(next(method, message, call)),
    stream: (next) => (method, messages, call) => around(next(method, messages, call))
  }
}

const answering = (unary: Effect.Effect<unknown, RpcError.RpcError>): Interceptor.Invoker => ({
  unary: () =>
    Effect.map(unary, (message) => ({ message, headers: Metadata.empty, trailers: Metadata.empty })) as never,
  stream: () =>
    Effect.map(unary, () => ({
      headers: Effect.succeed(Metadata.empty),
      messages: Stream.empty,
      trailers: Effect.succeed(Metadata.empty)
    })) as never
})

/** What a stack of interceptors notes of a call that ends as told. */
const run = Effect.fnUntraced(function* (
  make: (log: Array<string>) => Interceptor.Interceptor,
  end: Effect.Effect<unknown, RpcError.RpcError>,
  kind: "unary" | "stream" = "unary"
) {
  const log: Array<string> = []
  const invoker = Interceptor.apply(make(log), answering(end))
  const call = new Call.Call(CallOptions.Current.defaultValue(), yield* Clock.Clock, Infinity)
  const effect =
    kind === "unary"
      ? invoker.unary(echo, request, call)
      : Effect.scoped(invoker.stream(expand, Stream.make(request), call))
  const fiber = yield* Effect.forkChild(effect)
  yield* Effect.yieldNow
  yield* Fiber.interrupt(fiber)
  return log
})

describe.each(["unary", "stream"] as const)("interceptors of a %s call", (kind) => {
  const ab = (log: Array<string>) => Interceptor.compose([noting(log, "a"), noting(log, "b")])
  const failure = Effect.fail(RpcError.make("INTERNAL", "x"))

  it.effect("the first is outermost, on success, failure and interruption", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(ab, Effect.void, kind), ["> a", "> b", "< b", "< a"])
      assert.deepStrictEqual(yield* run(ab, failure, kind), ["> a", "> b", "x b", "x a"])
      assert.deepStrictEqual(yield* run(ab, Effect.never, kind), ["> a", "> b", "x b", "x a"])
    })
  )

  it.effect("identity changes nothing, on either side", () =>
    Effect.gen(function* () {
      const alone = yield* run((log) => noting(log, "a"), Effect.void, kind)
      for (const stack of [
        (log: Array<string>) => Interceptor.compose([Interceptor.identity, noting(log, "a")]),
        (log: Array<string>) => Interceptor.compose([noting(log, "a"), Interceptor.identity]),
        (log: Array<string>) => Interceptor.compose([noting(log, "a")])
      ]) {
        assert.deepStrictEqual(yield* run(stack, Effect.void, kind), alone)
      }
    })
  )

  it.effect("grouping does not matter", () =>
    Effect.gen(function* () {
      const [a, b, c] = ["a", "b", "c"].map((name) => (log: Array<string>) => noting(log, name))
      const left = (log: Array<string>) => Interceptor.compose([Interceptor.compose([a!(log), b!(log)]), c!(log)])
      const right = (log: Array<string>) => Interceptor.compose([a!(log), Interceptor.compose([b!(log), c!(log)])])
      const notes = yield* run(left, failure, kind)
      assert.strictEqual(notes.length, 6)
      assert.deepStrictEqual(notes, yield* run(right, failure, kind))
    })
  )
})
