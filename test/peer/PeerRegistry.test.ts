import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Endpoint, type Peer, PeerRegistry } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../echo.ts"
import { endpoint } from "../endpoints.ts"

const host = endpoint("backend:1")

/** A registry over a network with one host. */
const registryWith = (options?: PeerRegistry.Options) =>
  Effect.gen(function* () {
    const network = yield* TestNetwork.TestNetwork
    yield* network.serve(host.id, { handlers: [echoHandlers("a")] })
    const registry = yield* PeerRegistry.make(options)
    /** Holds a peer until released. */
    const hold = Effect.fnUntraced(function* (which: Endpoint.Endpoint) {
      const scope = yield* Scope.make()
      const peer: Peer.Peer = yield* Scope.provide(registry.retain(which), scope)
      peer.requestConnect()
      yield* TestClock.adjust(0)
      return { peer, release: Scope.close(scope, Exit.void) }
    })
    return { hold, connections: () => network.connections(host.id) }
  })

const inMemory = Effect.provide(TestNetwork.layer)

describe("PeerRegistry", () => {
  it.effect("the first holder makes the peer, the last release closes it", () =>
    Effect.gen(function* () {
      const { connections, hold } = yield* registryWith()
      const [first, second] = [yield* hold(host), yield* hold(host)]
      assert.strictEqual(first.peer, second.peer)
      assert.strictEqual(connections(), 1)
      yield* first.release
      assert.strictEqual(second.peer.status.state, "Ready")
      yield* second.release
      assert.strictEqual(second.peer.status.state, "Gone")
      assert.strictEqual(connections(), 0)
    }).pipe(inMemory)
  )

  it.effect("retain after release is a fresh peer", () =>
    Effect.gen(function* () {
      const { hold } = yield* registryWith()
      const first = yield* hold(host)
      yield* first.release
      const second = yield* hold(host)
      assert.notStrictEqual(first.peer, second.peer)
      assert.strictEqual(second.peer.status.state, "Ready")
    }).pipe(inMemory)
  )

  it.effect("the same address under another authority is another peer", () =>
    Effect.gen(function* () {
      const { connections, hold } = yield* registryWith()
      const [plain, named] = [yield* hold(host), yield* hold({ ...host, authority: "other" })]
      assert.notStrictEqual(plain.peer, named.peer)
      assert.strictEqual(connections(), 2)
    }).pipe(inMemory)
  )

  it.effect("an unheld peer is kept for its time to live, and no longer", () =>
    Effect.gen(function* () {
      const { connections, hold } = yield* registryWith({ idleTimeToLive: "1 minute" })
      const first = yield* hold(host)
      yield* first.release
      yield* TestClock.adjust(59_999)
      assert.strictEqual(connections(), 1)
      assert.strictEqual((yield* hold(host)).peer, first.peer)
    }).pipe(inMemory)
  )

  it.effect("and closes when it has passed", () =>
    Effect.gen(function* () {
      const { connections, hold } = yield* registryWith({ idleTimeToLive: "1 minute" })
      yield* (yield* hold(host)).release
      yield* TestClock.adjust(60_000)
      assert.strictEqual(connections(), 0)
    }).pipe(inMemory)
  )
})
