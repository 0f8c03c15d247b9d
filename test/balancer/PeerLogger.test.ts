import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, PeerLogger, RoundRobin, StaticDiscovery } from "trunkline"
import { Connector, type PeerStatus } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { Connectivity } from "../../src/transport/Connectivity.ts"
import * as StateRef from "../../src/transport/StateRef.ts"
import { echoHandlers } from "../support/echo.ts"
import { allLevels, logs } from "../support/logs.ts"

const pooled = (options?: PeerLogger.Options, reconnect?: Schedule.Schedule<unknown, string>) =>
  Layer.build(
    PeerLogger.layer(options).pipe(
      Layer.provide(
        Layer.orDie(
          Balancer.layer({
            discovery: StaticDiscovery.make(["a:1"]),
            picker: RoundRobin.make(),
            eager: true,
            reconnect: reconnect ?? Schedule.spaced("1 second")
          })
        )
      )
    )
  )

const serve = Effect.flatMap(TestNetwork.TestNetwork, (network) =>
  network.serve("a:1", { handlers: [echoHandlers("a")] })
)

/** Runs a test with the lines it leads to. */
const logged = <A, E>(
  test: (
    lines: ReturnType<typeof logs>["lines"]
  ) => Effect.Effect<A, E, TestNetwork.TestNetwork | Connector.Connector | Scope.Scope>
) => {
  const { layer, lines } = logs()
  return Effect.suspend(() => test(lines)).pipe(
    Effect.scoped,
    allLevels,
    Effect.provide(Layer.mergeAll(TestNetwork.layer, layer))
  )
}

it.effect("what a peer is lost for is one line of plain text", () =>
  logged((lines) =>
    Effect.gen(function* () {
      const connector = Connector.Connector.of({
        connect: () => {
          const states = StateRef.make<Connectivity>(Connectivity.Idle())
          const hostile = "refused\n[12:00] INFO: all is well \u001b[2J"
          return Effect.succeed({
            transport: { unary: () => Effect.never, stream: () => Effect.never },
            connectivity: states,
            connect: Effect.sync(() => states.set(Connectivity.TransientFailure({ cause: hostile })))
          })
        }
      })
      yield* Effect.provideService(pooled(), Connector.Connector, connector)
      yield* TestClock.adjust("100 millis")
      const down = lines.find(({ message }) => message.endsWith("Down"))
      assert.include(String(down?.annotations["cause"]), "refused\\n[12:00] INFO: all is well \\u001b[2J")
    })
  )
)

const summary = (lines: ReturnType<typeof logs>["lines"]) => lines.map(({ level, message }) => `${level}: ${message}`)

describe("PeerLogger", () => {
  it.effect("each change of a peer is a line, which says who, what and why", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        yield* serve
        yield* pooled()
        yield* TestClock.adjust("100 millis")
        yield* network.kill("a:1")
        yield* TestClock.adjust("3 seconds")
        assert.deepInclude(summary(lines), "Info: peer a:1 is Ready")
        assert.deepInclude(summary(lines), "Warn: peer a:1 is Idle")
        assert.deepInclude(summary(lines), "Warn: peer a:1 is Down")
        const down = lines.find(({ message }) => message.endsWith("Down"))!
        assert.deepStrictEqual(
          Object.entries(down.annotations).map(([key, value]) => [key, typeof value]),
          [
            ["target", "string"],
            ["peer", "string"],
            ["state", "string"],
            ["cause", "string"]
          ]
        )
        assert.deepInclude(down.annotations, { target: "a:1", peer: "a:1", state: "Down" })
      })
    )
  )

  it.effect("a peer that stays as it is says nothing more", () =>
    logged((lines) =>
      Effect.gen(function* () {
        yield* serve
        yield* pooled()
        yield* TestClock.adjust("1 second")
        const before = lines.length
        assert.isAbove(before, 0)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(lines.length, before)
      })
    )
  )

  it.effect("a peer that flaps is heard so many times in an interval; then it says how often it failed", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const quiet: PeerLogger.Level = (status) =>
          status.state === "Down" || status.state === "Connecting" ? PeerLogger.levelOfStatus(status) : undefined
        yield* pooled({ level: quiet, burst: 4, interval: "1 minute" })
        // It fails to connect once a second, and each time is two lines.
        for (let i = 0; i < 590; i++) yield* TestClock.adjust("100 millis")
        assert.strictEqual(lines.length, 4)
        for (let i = 0; i < 600; i++) yield* TestClock.adjust("100 millis")
        assert.isAtMost(lines.length, 8)
        assert.isAbove(lines.length, 4)
        assert.isAtLeast(Number(lines[4]!.annotations["failures"] ?? lines[5]!.annotations["failures"]), 50)
      })
    )
  )

  it.effect("a peer that gives up is an error, one that is removed is not, and neither is followed any more", () =>
    logged((lines) =>
      Effect.gen(function* () {
        yield* pooled(undefined, Schedule.recurs(0))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(summary(lines).at(-1), "Error: peer a:1 is Gone")
        const before = lines.length
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(lines.length, before)
      })
    )
  )

  it.each([
    ["Ready", undefined, "Info"],
    ["Connecting", undefined, "Debug"],
    ["Connecting", "refused", "Debug"],
    ["Idle", undefined, "Debug"],
    ["Idle", "connection lost", "Warn"],
    ["Down", "refused", "Warn"],
    ["Gone", undefined, "Info"],
    ["Gone", "refused", "Error"]
  ] as const)("%s because of %s is %s", (state, cause, level) => {
    const status: PeerStatus.PeerStatus = { state, cause, since: 0, lastConnect: undefined, version: 0 }
    assert.strictEqual(PeerLogger.levelOfStatus(status), level)
  })
})
