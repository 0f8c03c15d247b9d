/** More connections where the server takes few calls on each. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Stream } from "effect"
import { CallOptions, Handlers } from "trunkline"
import { Http2Server } from "trunkline/http2"
import { EchoService } from "../gen/echo_pb.ts"
import { clientOf } from "../support/http2Client.ts"

/** A server that takes `limit` calls on a connection and keeps them until the gate opens; it says who called. */
const crowded = Effect.fnUntraced(function* (limit: number, maxConnectionsPerEndpoint: number) {
  const gate = yield* Deferred.make<void>()
  const callers: Array<string> = []
  let running = 0
  let most = 0
  const serve = (call: { readonly remote: string }) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        callers.push(call.remote)
        most = Math.max(most, ++running)
      }),
      () => Effect.as(Deferred.await(gate), { text: call.remote }),
      () => Effect.sync(() => running--)
    )
  const handlers = Handlers.make(EchoService, {
    echo: (_, call) => serve(call),
    lookup: () => Effect.succeed({}),
    expand: (_, call) => Stream.fromEffect(serve(call)),
    collect: () => Effect.succeed({}),
    chat: () => Stream.empty
  })
  const { address } = yield* Http2Server.make({
    handlers: [handlers],
    maxConcurrentCalls: limit,
    drainTimeout: "1 second"
  })
  const client = yield* clientOf([address], { maxConnectionsPerEndpoint })
  // A connection's limit is known when its first call is over.
  yield* client.lookup({})
  return { callers, client, most: () => most, open: Deferred.succeed(gate, undefined), running: () => running }
})

const started = (count: number, running: () => number) =>
  Effect.gen(function* () {
    for (let i = 0; i < 200 && running() < count; i++) yield* Effect.sleep("10 millis")
    yield* Effect.sleep("50 millis")
    assert.strictEqual(running(), count)
  })

describe("a server that takes two calls on a connection", () => {
  it.live("the third goes to a second connection", () =>
    Effect.gen(function* () {
      const { callers, client, open, running } = yield* crowded(2, 2)
      const calls = yield* Effect.forkChild(
        Effect.all([client.echo({}), Stream.runHead(client.expand({})), client.echo({})], { concurrency: "unbounded" })
      )
      yield* started(3, running)
      assert.strictEqual(new Set(callers).size, 2)
      yield* open
      yield* Fiber.join(calls)
    })
  )

  it.live("no more connections than allowed; what is left waits its turn, and every call is answered", () =>
    Effect.gen(function* () {
      const { callers, client, most, open, running } = yield* crowded(2, 3)
      const calls = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 20 }, () => client.echo({})),
          { concurrency: "unbounded" }
        )
      )
      yield* started(6, running)
      assert.strictEqual(new Set(callers).size, 3)
      yield* open
      assert.strictEqual((yield* Fiber.join(calls)).length, 20)
      assert.strictEqual(most(), 6)
      assert.strictEqual(new Set(callers).size, 3)
    })
  )

  it.live("a call that waits for room ends with its deadline, and one that is interrupted passes its turn on", () =>
    Effect.gen(function* () {
      const { client, open, running } = yield* crowded(1, 1 + 1)
      const held = yield* Effect.forkChild(Effect.all([client.echo({}), client.echo({})], { concurrency: "unbounded" }))
      yield* started(2, running)
      const late = yield* Effect.flip(client.echo({}).pipe(CallOptions.withDeadline("50 millis")))
      assert.strictEqual(late.code, "DEADLINE_EXCEEDED")
      assert.include(late.message, "waiting for a connection with room")
      const impatient = yield* Effect.forkChild(client.echo({}))
      const patient = yield* Effect.forkChild(client.echo({}))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(impatient)
      yield* open
      yield* Fiber.join(held)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(patient)))
    })
  )

  it.live("a stream that is left makes room", () =>
    Effect.gen(function* () {
      const { callers, client, running } = yield* crowded(1, 2)
      const seen = yield* Queue.unbounded<void>()
      const hold = Effect.scoped(Effect.andThen(Queue.offer(seen, undefined), Stream.runDrain(client.expand({}))))
      const streams = [yield* Effect.forkChild(hold), yield* Effect.forkChild(hold)]
      yield* started(2, running)
      yield* Fiber.interruptAll(streams)
      yield* started(0, running)
      const again = yield* Effect.forkChild(client.echo({}))
      yield* started(1, running)
      assert.strictEqual(new Set(callers).size, 2)
      yield* Fiber.interrupt(again)
    })
  )
})
