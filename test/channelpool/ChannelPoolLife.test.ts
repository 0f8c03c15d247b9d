/** How channels come, go and are exchanged, and what must not happen when these meet. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, flow, Random, Ref, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, type RpcError } from "trunkline"
import { ApiConfig } from "trunkline/google"
import { Connector } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"
import { host, open, pass } from "../support/channels.ts"
import { settle } from "../support/multiEndpoints.ts"

const inMemory = flow(Random.withSeed("life"), Effect.provide(TestNetwork.layer))
const times = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Two to three calls a channel; two more for a burst. */
const small = { min: 1, max: 5, initial: 1, minLoad: 2, maxLoad: 5, coolDown: 10 } as const

const keyed =
  (echo: { readonly collect: (requests: Stream.Stream<{}>) => Effect.Effect<unknown, RpcError.RpcError> }) =>
  (key: string) =>
    echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey(key))

describe("channels that are being opened", () => {
  it.effect("are closed and never counted when the pool closes meanwhile, which does not wait for them", () =>
    Effect.gen(function* () {
      const { burst, close, network, snapshot } = yield* open({ pool: { ...small, prime: Effect.never } })
      const calls = yield* burst(10, 1000)
      assert.strictEqual(network.connections(host), 3)
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust(1000)
      yield* Fiber.join(closing)
      yield* Fiber.awaitAll(calls)
      assert.deepStrictEqual([network.connections(host), yield* snapshot], [0, []])
    }).pipe(inMemory)
  )

  it.effect("hold up no call, and no key that is bound", () =>
    Effect.gen(function* () {
      const { burst, echo, group } = yield* open({ pool: { ...small, prime: Effect.never } })
      yield* burst(10, 60_000)
      yield* keyed(echo)("k")
      const { keys, size, succeeded } = yield* group
      assert.deepStrictEqual([keys, size, succeeded], [1, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("one that cannot be opened is thrown away, the others are used, and the next burst opens more", () =>
    Effect.gen(function* () {
      let opened = 0
      let broken = true
      const { burst, group, network } = yield* open({
        pool: { ...small, max: 4, primeTimeout: 20 },
        // The second of the batch dies, again and again.
        connector: (inner) =>
          Connector.Connector.of({
            connect: (endpoint) =>
              opened++ >= 2 && broken ? Effect.die("a defect of the connector") : inner.connect(endpoint)
          })
      })
      const first = yield* burst(10, 600_000)
      yield* pass(20, 20)
      const { primeFailures, size } = yield* group
      assert.deepStrictEqual([size, primeFailures, network.connections(host)], [2, 1, 2])
      broken = false
      const second = yield* burst(1, 600_000)
      yield* pass(20, 1)
      assert.strictEqual((yield* group).size, 4)
      yield* Fiber.interruptAll([...first, ...second])
    }).pipe(inMemory)
  )

  it.effect(
    "are tried three times, each as long as it may take, with gaps of 100 and 200 ms, give or take a fifth",
    () =>
      Effect.gen(function* () {
        const starts: Array<number> = []
        const prime = Effect.andThen(
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => starts.push(now))),
          Effect.never
        )
        const { burst, group } = yield* open({ pool: { ...small, max: 2, prime, primeTimeout: 20 } })
        yield* burst(10, 600_000)
        yield* pass(1, 600)
        assert.deepStrictEqual([starts.length, (yield* group).primeFailures], [3, 1])
        const [first, second, third] = starts as [number, number, number]
        for (const [gap, millis] of [
          [100, second - first - 20],
          [200, third - second - 20]
        ] as const) {
          assert.isTrue(millis >= 0.8 * gap && millis <= 1.2 * gap + 1, `${millis} ms`)
        }
      }).pipe(inMemory)
  )

  it.effect("one that is taken back while it drains is not primed again", () =>
    Effect.gen(function* () {
      const primed = yield* Ref.make(0)
      const { burst, group } = yield* open({
        pool: {
          ...small,
          max: 3,
          initial: 3,
          checkInterval: 1000,
          drainGrace: 10_000,
          prime: Ref.update(primed, (n) => n + 1)
        }
      })
      yield* pass(1000, 3)
      const calls = yield* burst(10, 600_000)
      const { reused, size } = yield* group
      assert.deepStrictEqual([size, reused, yield* Ref.get(primed)], [3, 2, 0])
      yield* Fiber.interruptAll(calls)
    }).pipe(inMemory)
  )
})

describe("a pool that is closed", () => {
  it.effect("refuses calls at once", () =>
    Effect.gen(function* () {
      const { close, echo } = yield* open({})
      yield* close
      const error = yield* Effect.flip(echo.lookup({}))
      assert.deepStrictEqual([error.code, error.progress], ["UNAVAILABLE", "not_started"])
    }).pipe(inMemory)
  )
})

describe("a channel that was taken away", () => {
  const few = { min: 1, initial: 2, minLoad: 10, maxLoad: 25, checkInterval: 1000, drainGrace: 60_000 } as const

  it.effect("is charged with nothing: neither for failures before nor for calls that fail after", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ pool: { ...few, penalty: { duration: "1 hour" } } })
      const late = yield* Effect.forEach(times(4), () =>
        Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 5000, failCode: 14 })))
      )
      yield* Effect.forEach(times(4), () => Effect.exit(echo.lookup({ failCode: 14 })))
      yield* pass(1000, 3)
      const charged = Effect.map(group, ({ channels }) =>
        channels.map(({ draining, penalty }) => [draining, penalty > 0])
      )
      assert.deepStrictEqual(yield* charged, [
        [false, true],
        [true, false]
      ])
      yield* pass(1000, 2)
      yield* Fiber.awaitAll(late)
      assert.strictEqual((yield* group).load, 0)
      assert.deepStrictEqual(yield* charged, [
        [false, true],
        [true, false]
      ])
    }).pipe(inMemory)
  )

  it.effect("is one that is not connected, if there is such a one, and keys that are held do not wait there", () =>
    Effect.gen(function* () {
      const { affinity, echo, group, network } = yield* open({
        pool: { ...few, initial: 3 },
        route: (connection) => `${"abc"[connection] ?? "c"}:1`
      })
      for (const key of ["a", "b", "c"]) yield* Effect.andThen(affinity.bind(key), keyed(echo)(key))
      yield* network.silence("c:1")
      yield* TestClock.adjust(2000)
      yield* network.disconnect("c:1")
      yield* settle
      assert.strictEqual((yield* group).ready, 2)
      yield* pass(1000, 1)
      // The youngest is not connected, and the oldest of the others goes with it.
      assert.deepStrictEqual(
        (yield* group).channels.map(({ draining, id, keys }) => [id, draining, keys]),
        [
          [2, false, 1],
          [3, true, 0],
          [1, true, 1]
        ]
      )
      assert.strictEqual((yield* echo.lookup({})).server, "b:1")
    }).pipe(inMemory)
  )

  it.effect("failures of idle channels add some once, and no more", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ pool: { min: 2, max: 6, initial: 2, minLoad: 1, maxLoad: 2, coolDown: 1 } })
      const failing = yield* Effect.forEach(times(2), () =>
        Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 1, failCode: 14 })))
      )
      yield* pass(1, 1)
      yield* Fiber.awaitAll(failing)
      for (const _ of times(10)) {
        yield* echo.lookup({})
        yield* pass(10, 1)
      }
      assert.deepStrictEqual([(yield* group).size, (yield* group).added], [4, 2])
    }).pipe(inMemory)
  )
})

describe("a connection that is exchanged", () => {
  const deaf = { min: 1, max: 2, initial: 1, maxLoad: 1000, unresponsive: { failures: 1, silence: 10 } } as const

  /** A call nobody answers in time. */
  const late = (echo: Effect.Success<ReturnType<typeof open>>["echo"]) =>
    Effect.gen(function* () {
      const call = yield* Effect.forkChild(
        Effect.exit(echo.echo({ delayMillis: 60_000 }).pipe(CallOptions.withDeadline(10)))
      )
      yield* pass(10, 1)
      yield* Fiber.join(call)
      yield* settle
    })

  it.effect("must not happen: keys point at the old one, so that their calls stall and unbinding fails", () =>
    Effect.gen(function* () {
      const { affinity, echo, group, network } = yield* open({ pool: deaf })
      const call = keyed(echo)("k")
      const scope = yield* Scope.make()
      yield* Scope.provide(affinity.bind("k"), scope)
      yield* call
      yield* late(echo)
      const { keys, replaced } = yield* group
      assert.deepStrictEqual([keys, replaced], [1, 1])
      yield* pass(60_000, 1)
      assert.strictEqual(network.connections(host), 1)
      yield* call
      assert.strictEqual((yield* group).succeeded, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* group).keys, 0)
    }).pipe(inMemory)
  )

  it.effect("must not happen: an exchange that failed is the last", () =>
    Effect.gen(function* () {
      const well = yield* Ref.make(false)
      const prime = Effect.filterOrFail(Ref.get(well), (well) => well)
      const { echo, group, network } = yield* open({ pool: { ...deaf, prime } })
      yield* late(echo)
      yield* pass(500, 2)
      const { primeFailures, replaced, silences } = yield* group
      assert.deepStrictEqual([silences, replaced, primeFailures, network.connections(host)], [1, 0, 1, 1])
      yield* Ref.set(well, true)
      yield* late(echo)
      assert.strictEqual((yield* group).replaced, 1)
    }).pipe(inMemory)
  )

  it.effect("must not happen: what comes for a channel that has gone meanwhile is never closed", () =>
    Effect.gen(function* () {
      const primed = yield* Deferred.make<void>()
      const { echo, group, network } = yield* open({
        pool: {
          ...deaf,
          initial: 2,
          minLoad: 10,
          checkInterval: 100,
          drainGrace: 10,
          prime: Deferred.await(primed),
          primeTimeout: "1 minute"
        }
      })
      // Until both are silent.
      for (const _ of times(4)) yield* late(echo)
      assert.strictEqual((yield* group).silences, 2)
      yield* pass(100, 4)
      assert.strictEqual((yield* group).size, 1)
      yield* Deferred.succeed(primed, undefined)
      yield* pass(100, 1)
      assert.deepStrictEqual([(yield* group).replaced, network.connections(host)], [1, 1])
    }).pipe(inMemory)
  )

  it.effect("must not happen: a call that its caller gave up, or that failed here, is an answer", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ pool: deaf })
      const given = yield* Effect.forkChild(echo.echo({ delayMillis: 60_000 }))
      yield* pass(5, 1)
      yield* Fiber.interrupt(given)
      // Its silence is as long as the pool is old, not as long as since that call.
      yield* late(echo)
      assert.strictEqual((yield* group).replaced, 1)
    }).pipe(inMemory)
  )
})

describe("keys", () => {
  it.effect("spread over channels that are equally busy", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ pool: { min: 4, max: 4 } })
      for (const i of times(100)) yield* keyed(echo)(`k${i}`)
      assert.deepStrictEqual(
        (yield* group).channels.map(({ calls, keys }) => [calls, keys]),
        times(4).map(() => [25, 25])
      )
    }).pipe(inMemory)
  )

  /** 200 keys that are held on four channels, of which two drain then; the n-th connection leads to the n-th host. */
  const orphans = Effect.gen(function* () {
    const opened = yield* open({
      pool: { min: 2, max: 4, initial: 4, checkInterval: 1000, drainGrace: 1000 },
      route: (connection) => `${"abcd"[connection % 4]}:1`
    })
    const { affinity, echo, group } = opened
    yield* pass(1000, 2)
    const keys = times(200).map((i) => `k${i}`)
    yield* Effect.forEach(keys, affinity.bind)
    yield* Effect.forEach(keys, keyed(echo))
    const homes = Effect.map(group, ({ channels }) =>
      channels.map(({ draining, keys }) => `${keys}${draining ? " draining" : ""}`)
    )
    assert.deepStrictEqual(yield* homes, ["50", "50", "50", "50"])
    yield* pass(1000, 1)
    const lost = ["50", "50", "50 draining", "50 draining"]
    const seen = yield* group
    assert.strictEqual(seen.size, 2)
    const gone = seen.channels.filter(({ draining }) => draining).map(({ id }) => `${"abcd"[id - 1]}:1`)
    return { ...opened, gone, homes, keys, lost, use: Effect.forEach(keys, keyed(echo)) }
  })

  it.effect("that are held stay on a channel that drains until it is lost, and then spread over the others", () =>
    Effect.gen(function* () {
      const { gone, group, homes, lost, network, use } = yield* orphans
      yield* use
      yield* pass(60_000, 10)
      assert.deepStrictEqual(yield* homes, lost)
      yield* Effect.forEach(gone, network.kill)
      yield* settle
      yield* use
      assert.deepStrictEqual((yield* homes).slice(0, 2), ["100", "100"])
      assert.strictEqual((yield* group).failedFallbacks, 0)
      yield* pass(1000, 1)
      assert.deepStrictEqual(yield* homes, ["100", "100"])
    }).pipe(inMemory)
  )

  it.effect("that are told to move leave a channel that drains, which closes after the last", () =>
    Effect.gen(function* () {
      const { affinity, homes, keys, lost, network, use } = yield* orphans
      yield* Effect.forEach(keys, affinity.move)
      assert.deepStrictEqual(yield* homes, lost)
      yield* use
      assert.deepStrictEqual(yield* homes, ["100", "100", "0 draining", "0 draining"])
      yield* pass(1000, 2)
      assert.deepStrictEqual(yield* homes, ["100", "100"])
      assert.deepStrictEqual(["a:1", "b:1", "c:1", "d:1"].map(network.connections).toSorted(), [0, 0, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("must not happen: a stand-in is looked up by a number that has changed with the channels", () =>
    Effect.gen(function* () {
      const { echo, group, network } = yield* open({
        // The oldest two go; what is left has the ids 3 and 4.
        pool: { min: 2, max: 4, initial: 4, checkInterval: 1000, drainGrace: 1000 },
        // What is opened again leads to the host that was lost.
        route: (connection) => `${"abcd"[connection] ?? "c"}:1`
      })
      yield* pass(1000, 5)
      assert.deepStrictEqual(
        (yield* group).channels.map(({ id }) => id),
        [3, 4]
      )
      const call = Effect.map(echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey("k")), ({ server }) => server)
      assert.strictEqual(yield* call, "c:1")
      yield* network.kill("c:1")
      yield* settle
      assert.deepStrictEqual([yield* call, yield* call, (yield* group).fallbacks], ["d:1", "d:1", 2])
    }).pipe(inMemory)
  )

  const path = (method: string): string => `trunkline.test.EchoService/${method}`
  const affinity = {
    services: [EchoService],
    methods: [{ method: path("Chat"), command: "BOUND", key: "text" }]
  } as const

  it.effect("must not happen: a call that is left before its first message waits for ever, or is counted", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ affinity })
      const never = yield* Effect.forkChild(Stream.runDrain(echo.chat(Stream.never)))
      const late = yield* Effect.forkChild(
        Effect.flip(Stream.runDrain(echo.chat(Stream.never))).pipe(CallOptions.withDeadline(100))
      )
      yield* settle
      yield* Fiber.interrupt(never)
      assert.strictEqual((yield* group).load, 0)
      yield* pass(100, 1)
      assert.strictEqual((yield* Fiber.join(late)).code, "DEADLINE_EXCEEDED")
      assert.strictEqual((yield* group).load, 0)
    }).pipe(inMemory)
  )

  it.effect("are let alone by calls that are to go anywhere", () =>
    Effect.gen(function* () {
      const { echo, group } = yield* open({ affinity })
      yield* Stream.runDrain(echo.chat(Stream.make({ text: "k" }))).pipe(CallOptions.withoutAffinity)
      assert.strictEqual((yield* group).keys, 0)
      yield* Stream.runDrain(echo.chat(Stream.make({ text: "k" })))
      assert.strictEqual((yield* group).keys, 1)
    }).pipe(inMemory)
  )
})

it.effect("must not happen: a configuration without a watermark opens a channel for each call", () =>
  Effect.gen(function* () {
    const { channelPool } = yield* Effect.fromResult(ApiConfig.make({ channelPool: { maxSize: 10 } }))
    const { echo, group } = yield* open({ pool: channelPool })
    for (const _ of times(50)) yield* echo.lookup({})
    assert.deepStrictEqual([(yield* group).size, (yield* group).opened], [4, 4])
  }).pipe(inMemory)
)
