/**
 * The calls of one session to one peer.
 *
 * What a session needs may be on one backend of many. Here the keys of an `Affinity` are bound to the peers of a balancer,
 * in front of its picker: a key that is not known yet goes where the picker says and is bound there; its later calls find
 * that peer in the table and the picker is not asked. A home that is not ready, or on which this very call has failed, does
 * not hold a call up: the picker says where it goes meanwhile. The keys of a peer that leaves are free, held or not.
 */
import { Clock, Effect, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Invoker } from "../call/Interceptor.ts"
import * as MetricDefinitions from "../telemetry/MetricDefinitions.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "../picker/Picker.ts"
import * as PolicyWrapper from "../picker/combinators/PolicyWrapper.ts"
import type { Affinity } from "../affinity/Affinity.ts"
import * as AffinityKey from "../affinity/AffinityKey.ts"
import type { Rule } from "../affinity/AffinityRule.ts"
import { AffinityTable, type AffinityTarget } from "../affinity/AffinityTable.ts"

/** A peer as a place of keys. */
class Seat implements AffinityTarget {
  readonly peer: Peer
  keys = 0
  /** Whether its pool counts it among those that are sent calls. */
  admitted = false

  constructor(peer: Peer) {
    this.peer = peer
  }

  get isReady(): boolean {
    return this.admitted && this.peer.connection !== undefined
  }
}

const notHeld = (): boolean => false

/** Keys and the peers of one pool. */
export class PeerAffinity {
  readonly keys: AffinityTable<Seat> = new AffinityTable()
  readonly #affinity: Affinity["Service"]
  readonly #clock: Clock.Clock
  readonly #seats = new Map<string, Seat>()

  constructor(affinity: Affinity["Service"], clock: Clock.Clock) {
    this.#affinity = affinity
    this.#clock = clock
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Picking
  // -------------------------------------------------------------------------------------------------------------------

  /** Asks the table before the pickers of a policy. */
  policy(self: Picker.PickerPolicy): Picker.PickerPolicy {
    return PolicyWrapper.make(self, () => ({
      set: (set) => {
        this.#see(set)
        return set
      },
      picker: (picker) => this.#picker(picker)
    }))
  }

  #see({ peers, ready }: Picker.PeerSet): void {
    const now = new Set(peers)
    for (const [id, seat] of this.#seats) {
      if (now.has(seat.peer)) continue
      this.#seats.delete(id)
      this.keys.release(seat, notHeld)
    }
    for (const peer of peers) if (!this.#seats.has(peer.id)) this.#seats.set(peer.id, new Seat(peer))
    const admitted = new Set(ready)
    for (const seat of this.#seats.values()) seat.admitted = admitted.has(seat.peer)
  }

  #picker(self: Picker.Picker): Picker.Picker {
    return {
      pick: (call, now) => {
        const key = AffinityKey.named(call)
        return key === undefined ? self.pick(call, now) : this.#pick(self, key, call, now)
      }
    }
  }

  #pick(self: Picker.Picker, key: string, call: Call, now: number): Picker.Pick {
    const home = this.keys.home(key)
    if (home !== undefined && call.triedPeers.includes(home.peer.id)) return self.pick(call, now)
    let picked: Picker.Pick = Picker.queue
    const choose = (except: Seat | undefined): Seat | undefined => {
      picked = except === undefined ? self.pick(call, now) : pickBut(self, except.peer, call, now)
      return picked._tag === "Peer" ? this.#seats.get(picked.id) : undefined
    }
    return this.keys.resolve(key, now, choose)?.peer ?? picked
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Calling
  // -------------------------------------------------------------------------------------------------------------------

  /** Applies the rules of methods: a key of a request becomes the call's, those of a response are bound to its peer. */
  invoker(next: Invoker): Invoker {
    return {
      ...next,
      unary: (method, request, call) => {
        const rule = AffinityKey.ruleOf(this.#affinity, method, call)
        if (rule === undefined) return next.unary(method, request, call)
        return Effect.flatMap(AffinityKey.ofRequest(rule, request, call), (key) => {
          name(call, key)
          return Effect.map(next.unary(method, request, call), (response) => {
            this.#bind(rule, response.message, call)
            this.#unbind(rule, key)
            return response
          })
        })
      },
      stream: (method, requests, call) => {
        const rule = AffinityKey.ruleOf(this.#affinity, method, call)
        if (rule === undefined) return next.stream(method, requests, call)
        return Effect.flatMap(AffinityKey.ofRequests(rule, requests, call), ({ key, requests }) => {
          name(call, key)
          return Effect.map(next.stream(method, requests, call), (response) => ({
            ...response,
            messages: response.messages.pipe(
              Stream.tap((message) => Effect.sync(() => this.#bind(rule, message, call))),
              Stream.onEnd(Effect.sync(() => this.#unbind(rule, key)))
            )
          }))
        })
      }
    }
  }

  #bind(rule: Rule, message: unknown, { peer }: Call): void {
    const seat = peer === undefined ? undefined : this.#seats.get(peer)
    if (rule.command !== "BIND" || seat === undefined) return
    for (const key of rule.keys(message)) this.keys.bind(key, seat, Deadline.nowUnsafe(this.#clock))
  }

  #unbind(rule: Rule, key: string | undefined): void {
    if (rule.command === "UNBIND" && key !== undefined) this.keys.unbind(key)
  }
}

/** Picks as if the call had failed on a peer. */
const pickBut = (self: Picker.Picker, peer: Peer, call: Call, now: number): Picker.Pick => {
  const { triedPeers } = call
  call.triedPeers = [...triedPeers, peer.id]
  const picked = self.pick(call, now)
  call.triedPeers = triedPeers
  return picked
}

const name = (call: Call, affinityKey: string | undefined): void => {
  if (affinityKey !== undefined) call.options = { ...call.options, affinityKey }
}

const report = Effect.fnUntraced(function* (
  { keys }: PeerAffinity,
  target: string
): Effect.fn.Return<void, never, Scope.Scope> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return
  const labels = { "grpc.target": Metrics.targetLabel(metrics, target) }
  yield* ObservableMetric.gauge(MetricDefinitions.boundKeys(labels), () => keys.size)
  yield* ObservableMetric.counter(MetricDefinitions.keyFallbacks(labels), () => keys.fallbacks)
})

/** The affinity of the pool of a target, which forgets keys as it is told, and is measured, until the scope closes. */
export const make = Effect.fnUntraced(function* (
  affinity: Affinity["Service"],
  target: string
): Effect.fn.Return<PeerAffinity, never, Scope.Scope> {
  const self = new PeerAffinity(affinity, yield* Clock.Clock)
  yield* affinity.join(self.keys)
  yield* report(self, target)
  return self
})
