import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, type Endpoint, RoundRobin, StaticDiscovery } from "trunkline"
import { Connector, type Peer, PeerRegistry } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"

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

  it.effect("the same address by another connector, or with other options, is another peer", () =>
    Effect.gen(function* () {
      yield* (yield* TestNetwork.TestNetwork).serve(host.id, { handlers: [echoHandlers("a")] })
      const plain = yield* Connector.Connector
      const secret = Connector.Connector.of({ connect: (endpoint) => plain.connect(endpoint) })
      const registry = yield* PeerRegistry.make({ drainTimeout: "5 seconds" })
      const reconnect = Schedule.spaced("1 second")
      const ways = [
        registry.retain(host),
        registry.retain(host, { drainTimeout: 5000 }),
        Effect.provideService(registry.retain(host), Connector.Connector, secret),
        registry.retain(host, { drainTimeout: "6 seconds" }),
        registry.retain(host, { connectTimeout: "1 second" }),
        registry.retain(host, { reconnect }),
        registry.retain(host, { reconnect })
      ]
      const peers = yield* Effect.all(ways)
      const kinds = [...new Set(peers)]
      assert.deepStrictEqual(
        peers.map((peer) => kinds.indexOf(peer)),
        [0, 0, 1, 2, 3, 4, 4]
      )
    }).pipe(inMemory)
  )

  it.effect(
    "a release waits for no call; the peer takes none, another can be had at once, and the registry waits",
    () =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        yield* network.serve(host.id, { handlers: [echoHandlers("a")] })
        const owner = yield* Scope.make()
        const registry = yield* Scope.provide(PeerRegistry.make({ drainTimeout: "10 seconds" }), owner)
        const hold = Effect.fnUntraced(function* () {
          const scope = yield* Scope.make()
          const peer = yield* Scope.provide(registry.retain(host), scope)
          peer.requestConnect()
          yield* TestClock.adjust(0)
          return { peer, release: Scope.close(scope, Exit.void) }
        })
        const first = yield* hold()
        const connection = first.peer.connection!
        connection.enter()
        // Nothing has to happen for it to be done.
        yield* first.release
        assert.deepStrictEqual([first.peer.status.state, first.peer.connection], ["Gone", undefined])
        assert.strictEqual(network.connections(host.id), 1)
        const second = yield* hold()
        assert.notStrictEqual(second.peer, first.peer)
        assert.strictEqual(second.peer.status.state, "Ready")
        yield* second.release
        const closed = yield* Effect.forkChild(first.peer.closed)
        const closing = yield* Effect.forkChild(Scope.close(owner, Exit.void))
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual([closed.pollUnsafe(), closing.pollUnsafe()], [undefined, undefined])
        connection.leave()
        yield* Effect.all([Fiber.join(closed), Fiber.join(closing)])
        assert.strictEqual(network.connections(host.id), 0)
      }).pipe(inMemory)
  )

  it.effect("a pool closes without waiting for a peer that somebody else holds, also if it gave up", () =>
    Effect.gen(function* () {
      const registry = yield* PeerRegistry.make({ reconnect: Schedule.recurs(0) })
      const other = yield* registry.retain(host)
      const scope = yield* Scope.make()
      const layer = Balancer.layer({
        discovery: StaticDiscovery.make([host.id]),
        picker: RoundRobin.make(),
        eager: true
      })
      yield* Layer.buildWithScope(Layer.orDie(layer), scope).pipe(
        Effect.provideService(PeerRegistry.PeerRegistry, registry)
      )
      yield* Effect.repeat(TestClock.adjust(0), { times: 5 })
      assert.strictEqual(other.status.state, "Gone")
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(other.closing)
    }).pipe(inMemory)
  )

  it.effect("what is heard of a released peer changes nothing", () =>
    Effect.gen(function* () {
      const { connections, hold } = yield* registryWith()
      const { peer, release } = yield* hold(host)
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(peer.changes, ({ state }) => Effect.sync(() => seen.push(state))))
      yield* TestClock.adjust(0)
      yield* release
      const last = peer.status
      for (const event of ["ConnectStarted", "Connected"] as const) peer.transition({ _tag: event }, 1)
      peer.transition({ _tag: "Disconnected", cause: "late" }, 2)
      peer.requestConnect()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(peer.status, last)
      assert.deepStrictEqual([seen, connections()], [["Ready", "Gone"], 0])
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
