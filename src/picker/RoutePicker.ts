/**
 * One pool, several ways of picking: each call says which.
 *
 * Most calls say nothing and are balanced. Some belong with a key, some to one peer by its address, some want to be picked
 * for at random or in another way that has a name. All of them share the pool's peers, connections and counts.
 */
import { Effect, Result, Stream } from "effect"
import * as Endpoint from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import * as PeerStatus from "../peer/PeerStatus.ts"
import * as RpcError from "../status/RpcError.ts"
import * as HashKey from "./hash/HashKey.ts"
import * as PickError from "./PickError.ts"
import * as Picker from "./Picker.ts"

const fail = (cause: Error): Picker.Fail => ({
  _tag: "Fail",
  error: RpcError.make("UNAVAILABLE", cause.message, { cause })
})

/** The peers of a set by address; a call that asks for none is the caller's mistake. */
const byAddress = ({ connected, peers }: Picker.PeerSet) => {
  const known = new Map(peers.map((peer) => [peer.id, peer]))
  // What the caller asks for by name it gets, also if something speaks against it.
  const usable = new Set(connected)
  const find = (address: string): Peer | undefined => {
    const peer = known.get(address)
    if (peer !== undefined) return peer
    // It may be written in another form.
    const endpoint = Endpoint.parse(address)
    return Result.isSuccess(endpoint) ? known.get(endpoint.success.id) : undefined
  }
  return (address: string): Picker.Pick => {
    const peer = find(address)
    if (peer !== undefined && usable.has(peer)) return peer
    // Before discovery has answered nobody is known.
    if (known.size === 0) return Picker.queue
    if (peer === undefined) return fail(new PickError.UnknownPeer({ peer: address, peers: [...known.keys()] }))
    const { cause, state } = peer.status
    // It may have become ready since.
    return state === "Ready" || PeerStatus.mayBecomeReady(peer.status)
      ? Picker.queue
      : fail(new PickError.PeerNotReady({ peer: peer.id, state, cause }))
  }
}

/** Several measures of one pool: all are told of every attempt, and each policy reads its own. */
class Loads implements Picker.Load {
  readonly cost: Picker.Load["cost"]
  readonly #first: Picker.Load
  readonly #others: ReadonlyArray<Picker.Load>
  readonly #byPolicy: ReadonlyMap<Picker.LoadPolicy, Picker.Load>

  constructor(policies: readonly [Picker.LoadPolicy, ...ReadonlyArray<Picker.LoadPolicy>]) {
    this.#byPolicy = new Map(policies.map((policy) => [policy, policy.make()]))
    const [first, ...others] = this.#byPolicy.values()
    this.#first = first!
    this.#others = others
    this.cost = this.#first.cost
  }

  observe(...observed: Parameters<Picker.Load["observe"]>): void {
    this.#first.observe(...observed)
    for (const other of this.#others) other.observe(...observed)
  }

  of(policy: Picker.LoadPolicy): Picker.Load | undefined {
    return this.#byPolicy.get(policy)
  }
}

/** What measures for all of them; two of the same kind would keep their estimates in the same place. */
const loadOf = (policies: ReadonlyArray<Picker.PickerPolicy>): Picker.LoadPolicy | undefined => {
  const [first, ...others] = new Set(policies.flatMap(({ load }) => load ?? []))
  if (first === undefined || others.length === 0) return first
  return { make: () => new Loads([first, ...others]) }
}

/** A set as one of the policies is to see it: with its own measure. */
const seenBy = ({ load: policy }: Picker.PickerPolicy, set: Picker.PeerSet): Picker.PeerSet => {
  const own = policy !== undefined && set.load instanceof Loads ? set.load.of(policy) : undefined
  return own === undefined ? set : { ...set, load: own }
}

/**
 * Picks as each call asks: the peer of `CallOptions.withPeer`; or else the picker in `named` that `CallOptions.withPicker`
 * names; or else `keyed`, if there is one and the call has a key; or else `otherwise`. A peer that does not exist or is
 * down, and a picker that does not exist, fail the call as `UNAVAILABLE` with a typed cause; a peer that is connecting and
 * did not fail before is waited for. At most one of the policies should measure with `PeakEwma`.
 *
 * @example
 * import { CallOptions, RoutePicker, PowerOfTwo, Random, RingHash } from "trunkline"
 *
 * const picker = RoutePicker.make({
 *   otherwise: PowerOfTwo.make(),
 *   keyed: RingHash.make(),
 *   named: { random: Random.make() }
 * })
 * const byKey = CallOptions.withHashKey("ada")
 * const byAddress = CallOptions.withPeer("10.0.0.1:50051")
 * const atRandom = CallOptions.withPicker("random")
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options: {
  readonly otherwise: Picker.PickerPolicy
  readonly keyed?: Picker.PickerPolicy | undefined
  /** What says that a call has a key; default `HashKey.option`. Give `keyed` the same. */
  readonly key?: HashKey.HashKey | undefined
  readonly named?: Readonly<Record<string, Picker.PickerPolicy>> | undefined
}): Picker.PickerPolicy => {
  const key = options.key ?? HashKey.option
  const { keyed, otherwise } = options
  const named = Object.entries(options.named ?? {})
  const names = named.map(([name]) => name)
  const policies = [otherwise, ...named.map(([, policy]) => policy), ...(keyed === undefined ? [] : [keyed])]

  const dispatch = (find: (address: string) => Picker.Pick, pickers: ReadonlyArray<Picker.Picker>): Picker.Picker => {
    const byName = new Map(names.map((name, i) => [name, pickers[i + 1]!]))
    const forKeys = keyed === undefined ? undefined : pickers.at(-1)
    const forOthers = pickers[0]!
    return {
      pick(call, now) {
        const { peer, picker: name } = call.options
        if (peer !== undefined) {
          call.pinned = true
          return find(peer)
        }
        if (name !== undefined) {
          const picker = byName.get(name)
          if (picker !== undefined) return picker.pick(call, now)
          return fail(new PickError.UnknownPicker({ picker: name, pickers: names }))
        }
        return (forKeys !== undefined && key(call) !== undefined ? forKeys : forOthers).pick(call, now)
      }
    }
  }

  return {
    name: "Dispatch",
    load: loadOf(policies),
    pickers: (sets) =>
      Stream.broadcastN(sets, { n: policies.length + 1, capacity: 1 }).pipe(
        Effect.map(([own, ...each]) =>
          Stream.zipLatest(
            Stream.map(own!, byAddress),
            Stream.zipLatestAll(
              ...policies.map((policy, i) => policy.pickers(Stream.map(each[i]!, (set) => seenBy(policy, set))))
            )
          )
        ),
        Stream.unwrap,
        Stream.map(([find, pickers]) => dispatch(find, pickers))
      )
  }
}
