/**
 * A world for one picker: peers that come and go, go up and down, and take calls, with no network.
 *
 * What happens is a list of steps, so that it can be generated, made shorter, and shown. A step that makes no sense now,
 * such as ending a call when there is none, does nothing. Leases and counts are the pool's own; the clock is the test's.
 */
import { Clock, Effect, Exit, Queue, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Call } from "../call/Call.ts"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Invoker } from "../call/Interceptor.ts"
import * as Endpoint from "../discovery/Endpoint.ts"
import { ActiveConnection } from "../peer/ActiveConnection.ts"
import { Peer } from "../peer/Peer.ts"
import * as HealthVerdict from "../signals/HealthVerdict.ts"
import * as PendingLoad from "../picker/PendingLoad.ts"
import * as Picker from "../picker/Picker.ts"
import { Lease } from "../balancer/Lease.ts"
import * as RpcError from "../status/RpcError.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as StateRef from "../transport/StateRef.ts"

/** What can happen to a peer (the `n`-th there can be), to a call under way (the `n`-th there is), and in general. */
export const Step = Schema.Struct({
  what: Schema.Literals([
    "add",
    "remove",
    "up",
    "down",
    "lost",
    "eject",
    "readmit",
    "unweigh",
    "weigh",
    "again",
    "start",
    "finish",
    "fail",
    "interrupt",
    "wait"
  ]),
  n: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))
})

export type Step = typeof Step.Type

const unused: Invoker = {
  unary: () => Effect.die("nothing is sent here"),
  stream: () => Effect.die("nothing is sent here")
}

const ill = HealthVerdict.ejected("ill")

const failed = Exit.fail(RpcError.make("UNAVAILABLE", "failed"))

const makeConnection = (): ActiveConnection =>
  new ActiveConnection(
    { transport: unused, connectivity: StateRef.make(Connectivity.Ready()), connect: Effect.void },
    Scope.makeUnsafe()
  )

export class World {
  readonly clock: Clock.Clock
  readonly #load: Picker.Load
  readonly #sets: Queue.Queue<Picker.PeerSet>
  readonly #peers = new Map<number, Peer>()
  readonly #ejected = new Set<Peer>()
  readonly #weights = new Map<Peer, number>()
  /** Every peer there ever was: a removed one still has calls. */
  readonly everybody = new Set<Peer>()
  readonly leases: Array<Lease> = []
  picker: Picker.Picker = Picker.empty

  constructor(policy: Picker.PickerPolicy, clock: Clock.Clock, sets: Queue.Queue<Picker.PeerSet>) {
    this.#load = policy.load?.make() ?? PendingLoad.pending
    this.clock = clock
    this.#sets = sets
  }

  get peers(): ReadonlyArray<Peer> {
    return [...this.#peers.values()]
  }

  get connected(): ReadonlyArray<Peer> {
    return this.peers.filter((peer) => peer.status.state === "Ready")
  }

  get ready(): ReadonlyArray<Peer> {
    return Picker.withoutStandby(
      this.connected.filter((peer) => !this.#ejected.has(peer)),
      this.weightOf
    )
  }

  readonly weightOf = (peer: Peer): number => this.#weights.get(peer) ?? peer.endpoint.weight

  get now(): number {
    return Deadline.nowUnsafe(this.clock)
  }

  /** Gives a peer a weight, from the next set on. */
  weigh(peer: Peer, weight: number): void {
    this.#weights.set(peer, weight)
  }

  /** A call goes to a ready peer, whoever the picker would have picked. */
  hold(peer: Peer): Lease {
    const lease = new Lease(peer, peer.connection!, { load: this.#load, sinks: [] }, this.call(), this.now)
    this.leases.push(lease)
    return lease
  }

  /** Gives the policy the set as it is, and lets it come to its picker. */
  get publish(): Effect.Effect<void> {
    const { connected, peers, ready } = this
    // A policy may keep what it is given, so nothing of it changes afterwards.
    const weights = new Map(this.#weights)
    const ejected = new Set(this.#ejected)
    const set: Picker.PeerSet = {
      peers,
      connected,
      ready,
      endpointOf: (peer) => peer.endpoint,
      weightOf: (peer) => weights.get(peer) ?? peer.endpoint.weight,
      verdictOf: (peer) => (ejected.has(peer) ? ill : HealthVerdict.healthy),
      load: this.#load
    }
    return Effect.andThen(Queue.offer(this.#sets, set), settle)
  }

  call(options?: { readonly key?: string | undefined; readonly tried?: ReadonlyArray<string> | undefined }): Call {
    const call = new Call({ ...CallOptions.Current.defaultValue(), hashKey: options?.key }, this.clock, Infinity)
    call.triedPeers = options?.tried ?? []
    return call
  }

  pick(call: Call = this.call()): Picker.Pick {
    return this.picker.pick(call, this.now)
  }

  take(step: Step): Effect.Effect<void> {
    return Effect.suspend(() => {
      const peer = this.#peers.get(step.n)
      switch (step.what) {
        case "add":
          if (peer === undefined) this.#add(step.n)
          return this.publish
        case "remove":
          if (peer !== undefined) this.#remove(step.n, peer)
          return this.publish
        case "up":
          if (peer !== undefined) connected(peer)
          return this.publish
        case "down":
          if (peer !== undefined) down(peer)
          return this.publish
        case "lost":
          if (peer !== undefined) lost(peer)
          return this.publish
        case "eject":
          if (peer !== undefined) this.#ejected.add(peer)
          return this.publish
        case "readmit":
          if (peer !== undefined) this.#ejected.delete(peer)
          return this.publish
        case "unweigh":
          if (peer !== undefined) this.#weights.set(peer, 0)
          return this.publish
        case "weigh":
          if (peer !== undefined) this.#weights.delete(peer)
          return this.publish
        case "again":
          return this.publish
        case "wait":
          return TestClock.adjust(step.n * 100)
        case "start":
          return Effect.sync(() => this.#start(step.n))
        case "finish":
          return Effect.sync(() => this.#end(step.n, Exit.void))
        case "fail":
          return Effect.sync(() => this.#end(step.n, failed))
        case "interrupt":
          return Effect.sync(() => this.#end(step.n, Exit.interrupt()))
      }
    })
  }

  #add(n: number): void {
    const { address } = Result.getOrThrow(Endpoint.parse(`peer-${n}:1`))
    // Of two groups and two zones, for policies that look at them.
    const endpoint = Endpoint.make(address, { priority: n % 2, locality: n % 2 === 0 ? "even" : "odd" })
    const peer = new Peer(endpoint, this.clock.currentTimeMillisUnsafe())
    this.#peers.set(n, peer)
    this.everybody.add(peer)
  }

  #remove(n: number, peer: Peer): void {
    peer.connection = undefined
    peer.transition({ _tag: "Removed" }, 0)
    this.#peers.delete(n)
    this.#ejected.delete(peer)
    this.#weights.delete(peer)
  }

  #start(n: number): void {
    const call = this.call({ key: `key-${n}` })
    const peer = this.pick(call)
    if (peer._tag === "Peer" && peer.connection !== undefined) {
      this.leases.push(new Lease(peer, peer.connection, { load: this.#load, sinks: [] }, call, this.now))
    }
  }

  #end(n: number, exit: Exit.Exit<unknown, RpcError.RpcError>): void {
    const [lease] = this.leases.splice(n, 1)
    lease?.end(exit)
    // An end that is reported twice is one end.
    lease?.end(Exit.interrupt())
  }
}

const connected = (peer: Peer): void => {
  if (peer.status.state === "Ready") return
  peer.stats.forget()
  peer.connection = makeConnection()
  peer.transition({ _tag: "ConnectStarted" }, 0)
  peer.transition({ _tag: "Connected" }, 0)
}

const lost = (peer: Peer): void => {
  peer.connection = undefined
  peer.transition({ _tag: "Disconnected", cause: "lost" }, 0)
}

const down = (peer: Peer): void => {
  lost(peer)
  peer.transition({ _tag: "ConnectStarted" }, 0)
  peer.transition({ _tag: "ConnectFailed", cause: "refused" }, 0)
}

/** Until nobody has anything left to do but wait for the clock. */
const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 20 })

/** A world in which a policy runs until the scope closes, and the clock of which only moves by its steps. */
export const make = Effect.fnUntraced(function* (policy: Picker.PickerPolicy) {
  const sets = yield* Queue.unbounded<Picker.PeerSet>()
  const world = new World(policy, yield* Clock.Clock, sets)
  yield* policy.pickers(Stream.fromQueue(sets)).pipe(
    Stream.runForEach((picker) => Effect.sync(() => void (world.picker = picker))),
    Effect.forkScoped
  )
  yield* world.publish
  return world
})
