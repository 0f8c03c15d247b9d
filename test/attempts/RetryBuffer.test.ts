import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Fiber, Queue, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, RetryBuffer, Retry, RpcError } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { backends, settle } from "../support/retryBackends.ts"
import { atOnce, everySecond } from "../support/scripted.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const unavailable = RpcError.make("UNAVAILABLE", "try later")

const joined = (requests: Stream.Stream<string, RpcError.RpcError>) =>
  Effect.map(Stream.runCollect(requests), (all) => all.join(""))

/** Reads so many requests and fails, `times` times; then reads them all. */
const failing = (times: number, reads: number) => (n: number, requests: Stream.Stream<string, RpcError.RpcError>) =>
  n > times ? joined(requests) : Effect.andThen(Stream.runDrain(Stream.take(requests, reads)), unavailable)

const letters = (text: string) => Stream.fromIterable([...text]).pipe(Stream.rechunk(1))

describe("a replayable call", () => {
  it.effect("sends every request again, once each, in order", () =>
    Effect.gen(function* () {
      for (const reads of [0, 1, 3, 6]) {
        const rig = yield* backends({ sum: failing(2, reads) })
        const answer = yield* rig.letters.sum(letters("abcdef")).pipe(Retry.withPolicy(atOnce), CallOptions.replayable)
        assert.strictEqual(answer, "abcdef")
        assert.strictEqual(rig.served.length, 3)
        assert.strictEqual(rig.pending(), 0)
      }
    }).pipe(Effect.scoped, inMemory)
  )

  it.effect("without the word is not tried again once a request was taken", () =>
    Effect.gen(function* () {
      const { letters: client, served } = yield* backends({ sum: failing(2, 1) })
      const error = yield* Effect.flip(client.sum(letters("abc"))).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([error.code, error.stopped, served.length], ["UNAVAILABLE", "committed", 1])
    }).pipe(inMemory)
  )

  it.effect("reads its source once, and loses no request that was on its way when an attempt ended", () =>
    Effect.gen(function* () {
      const { letters: client } = yield* backends({ sum: failing(1, 1) })
      const queue = yield* Queue.unbounded<string, Cause.Done>()
      const call = yield* Effect.forkChild(
        client.sum(Stream.fromQueue(queue)).pipe(Retry.withPolicy(everySecond), CallOptions.replayable)
      )
      yield* settle
      // The first attempt ends with the first request while it waits for the second, which comes during the sleep.
      yield* Queue.offer(queue, "a")
      yield* TestClock.adjust(500)
      yield* Queue.offer(queue, "b")
      yield* TestClock.adjust(500)
      yield* Queue.offer(queue, "c")
      yield* Queue.end(queue)
      yield* settle
      assert.strictEqual(yield* Fiber.join(call), "abc")
    }).pipe(inMemory)
  )

  it.effect("is read as the server reads it: back-pressure reaches the source", () =>
    Effect.gen(function* () {
      const pulledBy = Effect.fnUntraced(function* (replayable: boolean) {
        const { letters: client } = yield* backends({
          sum: (_, requests) =>
            Effect.andThen(
              Stream.runForEach(Stream.take(requests, 5), () => Effect.void),
              Effect.never
            )
        })
        let pulled = 0
        const endless = Stream.fromIterable(Array.from({ length: 1000 }, () => "x")).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sync(() => pulled++))
        )
        const call = yield* client.sum(endless).pipe(
          CallOptions.update((options) => ({ ...options, replayable })),
          CallOptions.withWindow(4),
          Effect.forkChild
        )
        for (let i = 0; i < 50; i++) yield* settle
        yield* Fiber.interrupt(call)
        return pulled
      })
      const plain = yield* pulledBy(false)
      assert.strictEqual(yield* pulledBy(true), plain)
      assert.isAtMost(plain, 5 + 2 * 4)
    }).pipe(Effect.scoped, inMemory)
  )

  it.effect("answers both ways: the response is there before the server has said anything", () =>
    Effect.gen(function* () {
      const rig = yield* backends({
        chat: (n, requests) =>
          n === 1 ? Stream.concat(Stream.drain(Stream.take(requests, 1)), Stream.fail(unavailable)) : requests
      })
      const queue = yield* Queue.unbounded<string, Cause.Done>()
      const answers = yield* Effect.gen(function* () {
        const response = yield* rig.letters.chat.response(Stream.fromQueue(queue))
        yield* Queue.offerAll(queue, ["a", "b"])
        yield* Queue.end(queue)
        const all = yield* Stream.runCollect(response.messages)
        yield* response.headers
        yield* response.trailers
        return all
      }).pipe(Retry.withPolicy(atOnce), CallOptions.replayable, Effect.scoped)
      assert.deepStrictEqual([answers, rig.served.length, rig.pending()], [["a", "b"], 2, 0])
    }).pipe(inMemory)
  )

  it.effect("is not tried again once the answer has begun", () =>
    Effect.gen(function* () {
      const rig = yield* backends({
        chat: (_, requests) => Stream.concat(Stream.take(requests, 1), Stream.fail(unavailable))
      })
      const seen: Array<string> = []
      const error = yield* rig.letters.chat(letters("abc")).pipe(
        Stream.runForEach((letter) => Effect.sync(() => seen.push(letter))),
        Effect.flip,
        Retry.withPolicy(atOnce),
        CallOptions.replayable
      )
      assert.deepStrictEqual([error.stopped, seen, rig.served.length], ["committed", ["a"], 1])
    }).pipe(inMemory)
  )

  it.effect("is given back as it failed when its own requests fail", () =>
    Effect.gen(function* () {
      const { letters: client, served } = yield* backends({ sum: (_, requests) => joined(requests) })
      const mine = Stream.concat(letters("ab"), Stream.fail("mine" as const))
      const always = Retry.onError(() => true, Schedule.forever)
      const error = yield* Effect.flip(client.sum(mine)).pipe(Retry.withPolicy(always), CallOptions.replayable)
      assert.strictEqual(error, "mine")
      assert.strictEqual(served.length, 1)
    }).pipe(inMemory)
  )
})

describe("what is kept is bounded", () => {
  // A letter is three bytes of JSON.
  const cases: ReadonlyArray<readonly [string, RetryBuffer.Options, boolean]> = [
    ["six letters fit in 18 bytes of a call", { perCallBytes: 18 }, true],
    ["and not in 17", { perCallBytes: 17 }, false],
    ["nor in 17 of a client", { perClientBytes: 17 }, false],
    ["nothing is kept in none", { perCallBytes: 0 }, false]
  ]
  it.effect.each(cases)("%s", ([, limits, replayed]) =>
    Effect.gen(function* () {
      const rig = yield* backends({ sum: failing(1, 6) }).pipe(Effect.provide(RetryBuffer.layer(limits)))
      const call = Effect.exit(rig.letters.sum(letters("abcdef"))).pipe(
        Retry.withPolicy(atOnce),
        CallOptions.replayable
      )
      assert.strictEqual((yield* call)._tag, replayed ? "Success" : "Failure")
      assert.strictEqual(rig.served.length, replayed ? 2 : 1)
    }).pipe(inMemory)
  )

  it.effect("a call too large to keep still arrives whole", () =>
    Effect.gen(function* () {
      const rig = yield* backends({ sum: (_, requests) => joined(requests) }).pipe(
        Effect.provide(RetryBuffer.layer({ perCallBytes: 4 }))
      )
      assert.strictEqual(yield* rig.letters.sum(letters("abcdefgh")).pipe(CallOptions.replayable), "abcdefgh")
    }).pipe(inMemory)
  )

  it.effect("the client's share is given back when calls end, and shared while they run", () =>
    Effect.gen(function* () {
      const rig = yield* backends({
        sum: (n, requests) =>
          Effect.flatMap(joined(requests), (all) =>
            n === 6 || n === 9
              ? Effect.andThen(Effect.sleep(100), unavailable)
              : Effect.as(Effect.sleep(n === 8 ? 1000 : 0), all)
          )
      }).pipe(Effect.provide(RetryBuffer.layer({ perClientBytes: 18 })))
      const call = rig.letters.sum(letters("abcdef")).pipe(Retry.withPolicy(atOnce), CallOptions.replayable)
      const finish = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.exit(call))
        yield* TestClock.adjust(100)
        return fiber
      })
      for (let i = 0; i < 5; i++) yield* Fiber.join(yield* finish)
      // The sixth attempt fails and is followed by a seventh: what five calls kept is free again.
      assert.strictEqual((yield* Fiber.join(yield* finish))._tag, "Success")
      assert.strictEqual(rig.served.length, 7)
      // The eighth takes a second; meanwhile the ninth fails, and had no room.
      const slow = yield* finish
      assert.strictEqual((yield* Fiber.join(yield* finish))._tag, "Failure")
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(slow))._tag, "Success")
      assert.strictEqual(rig.served.length, 9)
    }).pipe(inMemory)
  )
})
