import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Scope, Stream } from "effect"
import { type Interceptor, RpcError } from "trunkline"
import { CallObserver } from "trunkline/extend"
import * as Backend from "../support/backend.ts"

const failure = RpcError.make("UNAVAILABLE", "gone")

const response = (messages: Stream.Stream<number, RpcError.RpcError>): Interceptor.StreamResponse<number> => ({
  headers: Effect.succeed(Backend.headers),
  messages,
  trailers: Effect.succeed(Backend.trailers)
})

const started = (messages: Stream.Stream<number, RpcError.RpcError>) => Effect.succeed(response(messages))

const named = (exit: CallObserver.StreamEnd): string =>
  Exit.isSuccess(exit) ? "well" : Cause.hasInterrupts(exit.cause) ? "interrupted" : "failed"

type Start = Effect.Effect<Interceptor.StreamResponse<number>, RpcError.RpcError>
type Read = (response: Interceptor.StreamResponse<number>) => Effect.Effect<unknown, unknown>

const all: Read = ({ messages }) => Stream.runDrain(messages)

const table: ReadonlyArray<[what: string, start: Start, read: Read, end: string]> = [
  ["that does not start", Effect.fail(failure), all, "failed"],
  ["that is interrupted while it starts", Effect.interrupt, all, "interrupted"],
  ["whose messages end", started(Stream.make(1, 2)), all, "well"],
  ["whose messages fail", started(Stream.concat(Stream.make(1), Stream.fail(failure))), all, "failed"],
  ["that dies", started(Stream.die("a defect")), all, "failed"],
  [
    "whose reader stops",
    started(Stream.concat(Stream.make(1, 2), Stream.never)),
    ({ messages }) => Stream.runDrain(Stream.take(messages, 1)),
    "interrupted"
  ],
  [
    "whose reader fails",
    started(Stream.make(1, 2)),
    ({ messages }) => Stream.runForEach(messages, () => Effect.fail("a reader of its own")),
    "interrupted"
  ],
  ["that nobody reads", started(Stream.make(1)), () => Effect.void, "interrupted"]
]

describe("onStreamEnd", () => {
  it.effect.each(table)("a stream %s ends once", ([, start, read, end]) =>
    Effect.gen(function* () {
      const ends: Array<string> = []
      const scope = yield* Scope.make()
      const observed = CallObserver.onStreamEnd(start, (exit) => Effect.sync(() => ends.push(named(exit))))
      yield* Effect.exit(Scope.provide(Effect.flatMap(observed, read), scope))
      const before = [...ends]
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(ends, [end])
      // Only a stream that nobody reads has to wait for its scope.
      assert.deepStrictEqual(before, read === table.at(-1)![2] ? [] : [end])
    })
  )

  it.effect("a stream that ends well hands over its response", () =>
    Effect.gen(function* () {
      let trailers: unknown
      const observed = CallObserver.onStreamEnd(started(Stream.make(1)), (exit) =>
        Exit.isSuccess(exit) ? Effect.ignore(Effect.map(exit.value.trailers, (read) => (trailers = read))) : Effect.void
      )
      yield* Effect.flatMap(observed, all)
      assert.strictEqual(trailers, Backend.trailers)
    }).pipe(Effect.scoped)
  )
})
