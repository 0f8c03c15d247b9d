/** Whatever happens to a list, in whatever order: when all is quiet the members are exactly those of the last list. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, Endpoint, EndpointList, RoundRobin } from "trunkline"
import { PeerPool, PeerRegistry } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"
import * as Membership from "../../src/balancer/Membership.ts"

const hosts = ["a:1", "b:1", "c:1", "d:1"]
const seeds = Array.from({ length: 20 }, (_, i) => `seed ${i}`)

/** A list of some of the hosts, in any order, some of them twice. */
const someHosts = Effect.gen(function* () {
  const names = yield* Random.shuffle(hosts)
  const count = yield* Random.nextIntBetween(0, hosts.length)
  const chosen = [...names].slice(0, count)
  return (yield* Random.nextBoolean) ? [...chosen, ...chosen.slice(0, 1)] : chosen
})

const unique = <A>(all: Iterable<A>): ReadonlyArray<A> => [...new Set(all)]

describe("the machine", () => {
  it.effect.each(seeds)("holds one peer for each that is listed, and lets every other one go once: %s", (seed) =>
    Effect.gen(function* () {
      let state = Membership.empty
      /** What is held by whoever obeys, and what of it drains. */
      const held = new Map<number, string>()
      const draining = new Set<number>()
      const take = ([next, commands]: Membership.Step) => {
        state = next
        for (const { _tag, member } of commands) {
          const { endpoint, generation } = member
          assert.strictEqual(held.has(generation), _tag === "Leave")
          if (_tag === "Join") held.set(generation, endpoint.id)
          else {
            assert.isFalse(draining.has(generation))
            draining.add(generation)
          }
        }
      }
      let last: ReadonlyArray<string> = []
      for (let i = 0; i < 400; i++) {
        const dice = yield* Random.nextIntBetween(0, 9)
        const all = [...held.keys()]
        const one = all[yield* Random.nextIntBetween(0, Math.max(0, all.length - 1))]
        if (dice < 5 || one === undefined) {
          last = yield* someHosts
          const authority = dice === 0 ? "another" : undefined
          take(
            Membership.update(
              state,
              last.map((id) => ({ ...endpoint(id), authority }))
            )
          )
        } else {
          // A peer that drains is through, or the holder of any is lost to a bug.
          held.delete(one)
          draining.delete(one)
          take(Membership.ended(state, one))
          // Who hears of it twice does nothing.
          take(Membership.ended(state, one))
        }
        assert.deepStrictEqual([...state.listed.keys()], unique(last))
        const active = [...held].filter(([generation]) => !draining.has(generation)).map(([, id]) => id)
        assert.deepStrictEqual(active.sort(), unique(last).toSorted())
        assert.deepStrictEqual([...state.draining].sort(), [...draining].sort())
      }
    }).pipe(Random.withSeed(seed))
  )

  it("keeps a member whose weight, priority or locality changes, and exchanges one that is connected to otherwise", () => {
    const [a] = ["a:1"].map(endpoint)
    const [first] = Membership.update(Membership.empty, [a!])
    const [second, none] = Membership.update(first, [{ ...a!, weight: 7, priority: 2, locality: "there" }])
    assert.deepStrictEqual(none, [])
    assert.strictEqual(second.listed.get("a:1")?.endpoint.weight, 7)
    const moved = [
      { ...a!, authority: "other" },
      { ...a!, address: Endpoint.Address.Tcp({ host: "z", port: 1 }) }
    ]
    for (const other of moved) {
      const [, commands] = Membership.update(second, [other])
      assert.deepStrictEqual(
        commands.map(({ _tag }) => _tag),
        ["Join", "Leave"]
      )
    }
  })

  it("keeps the place of an endpoint whose holder was lost", () => {
    const [state] = Membership.update(Membership.empty, ["a:1", "b:1", "c:1"].map(endpoint))
    const [after, commands] = Membership.ended(state, state.listed.get("b:1")!.generation)
    assert.deepStrictEqual([...after.listed.keys()], ["a:1", "b:1", "c:1"])
    assert.deepStrictEqual(
      commands.map(({ _tag, member }) => [_tag, member.generation]),
      [["Join", 4]]
    )
  })
})

/** A pool over a list that the test edits, and calls that hold up whoever drains. */
const open = Effect.fnUntraced(function* (list: EndpointList.EndpointList, options?: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const layer = Balancer.layer({ discovery: list, picker: RoundRobin.make(), eager: true, ...options })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  return { echo, network, pool: Context.get(context, PeerPool.PeerPool) }
})

describe("a pool", () => {
  const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

  it.effect.each(seeds.slice(0, 10))("has exactly the peers of the last list when all is quiet: %s", (seed) =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", hosts)
      const registry = yield* PeerRegistry.make({ idleTimeToLive: seed.endsWith("3") ? "3 seconds" : undefined })
      const shared = Effect.provideService(PeerRegistry.PeerRegistry, registry)
      const both = [
        yield* shared(open(list, { drainTimeout: "1 hour" })),
        yield* shared(open(list, { drainTimeout: seed.endsWith("5") ? "2 seconds" : "1 hour" }))
      ]
      const { network } = both[0]!
      yield* settle
      for (let i = 0; i < 60; i++) {
        const dice = yield* Random.nextIntBetween(0, 9)
        const host = hosts[yield* Random.nextIntBetween(0, hosts.length - 1)]!
        if (dice < 4) {
          const before = yield* list.endpoints
          const wanted = unique(yield* someHosts)
          yield* list.update({ removals: before, additions: wanted })
        } else if (dice < 6) {
          for (const { echo } of both)
            yield* Effect.forkScoped(Effect.exit(echo.echo({ delayMillis: 5000 }).pipe(CallOptions.failFast)))
        } else if (dice === 6) yield* network.kill(host)
        else if (dice === 7) yield* network.restart(host)
        else if (dice === 8) yield* TestClock.adjust(yield* Random.nextIntBetween(0, 4000))
        if (yield* Random.nextBoolean) yield* Effect.yieldNow
      }
      for (const host of hosts) {
        yield* network.kill(host)
        yield* network.restart(host)
      }
      yield* TestClock.adjust("5 minutes")
      const last = (yield* list.endpoints).map(({ id }) => id)
      for (const { echo, pool } of both) {
        assert.deepStrictEqual(
          pool.peers().map(({ id, status }) => `${id} ${status.state}`),
          last.map((id) => `${id} Ready`)
        )
        const servers = yield* Effect.forEach(last, () => Effect.map(echo.lookup({}), ({ server }) => server))
        assert.deepStrictEqual(servers.sort(), last.toSorted())
      }
      for (const host of hosts) assert.isAtMost(network.connections(host), last.includes(host) ? 2 : 0)
    }).pipe(Effect.provide(TestNetwork.layer), Random.withSeed(seed))
  )

  it.effect("gives an endpoint that is listed again, while its old peer drains, a peer at once", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const { echo, network, pool } = yield* open(list)
      yield* settle
      const old = pool.peers()[0]!
      const long = yield* Effect.forkChild(echo.echo({ delayMillis: 5000 }))
      yield* settle
      yield* list.update({ removals: ["a:1"] })
      yield* settle
      yield* list.update({ additions: ["a:1"] })
      yield* settle
      assert.strictEqual((yield* echo.lookup({})).server, "a:1")
      assert.notStrictEqual(pool.peers()[0], old)
      assert.strictEqual(network.connections("a:1"), 2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(long)).server, "a:1")
      yield* settle
      assert.strictEqual(network.connections("a:1"), 1)
      assert.deepStrictEqual(
        pool.peers().map(({ status }) => status.state),
        ["Ready"]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("connects anew to an endpoint whose authority has changed", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1", "b:1"])
      const { echo, network, pool } = yield* open(list)
      yield* settle
      const [before] = pool.peers()
      yield* list.update({ removals: ["a:1"], additions: [{ ...endpoint("a:1"), authority: "other.example" }] })
      yield* settle
      const after = pool.peers().find(({ id }) => id === "a:1")!
      assert.notStrictEqual(after, before)
      assert.strictEqual(after.endpoint.authority, "other.example")
      assert.strictEqual(before!.status.state, "Gone")
      assert.strictEqual(network.connections("a:1"), 1)
      yield* echo.lookup({})
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
