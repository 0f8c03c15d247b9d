/**
 * Equal keys stay with the peer that was picked for the first of them.
 *
 * Pickers by hash say where a key belongs, whoever is busy there, and move it back when its peer is back. Where the place
 * does not matter but staying does, such as for a session that a backend holds in memory, the first call of a key is
 * picked for like any other, and the rest follow it while that peer is ready.
 *
 * When it is not, the key is picked for anew and stays with the new peer: the session has to be made again anyway, and
 * moving back would lose it twice. A call that failed on its key's peer is tried on another, and the key stays.
 *
 * What is remembered is bounded: of too many keys the one that was not used for longest is forgotten. Each pool remembers
 * for itself; one that has gone idle has forgotten everything. (Within one peer, `Affinity` keeps keys on connections.)
 */
import { Duration, Function } from "effect"
import type { Peer } from "../../peer/Peer.ts"
import type { Key } from "../hash/Hash64.ts"
import * as HashKey from "../hash/HashKey.ts"
import type * as Picker from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"

/**
 * How keys stay.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What calls have in common. Default the key of `CallOptions.withHashKey`. */
  readonly key?: HashKey.HashKey | undefined
  /** How many keys are remembered. Default 10,000. */
  readonly capacity?: number | undefined
  /** How long a key is remembered that is not used. Default as long as there is room. */
  readonly lifetime?: Duration.Input | undefined
}

interface Binding {
  peer: Peer
  /** When it was last used, in milliseconds of the monotonic clock. */
  used: number
}

/** Bytes as text, a character for each. */
const textOf = (key: Key): string => (typeof key === "string" ? key : new TextDecoder("latin1").decode(key))

/** Where keys are bound, the least recently used first. */
class Bindings {
  readonly #byKey = new Map<string, Binding>()
  readonly #capacity: number
  readonly #lifetime: number

  constructor(capacity: number, lifetime: number) {
    this.#capacity = capacity
    this.#lifetime = lifetime
  }

  get(key: string, now: number): Peer | undefined {
    const binding = this.#byKey.get(key)
    return binding === undefined || now - binding.used >= this.#lifetime ? undefined : binding.peer
  }

  set(key: string, peer: Peer, now: number): void {
    const binding = this.#byKey.get(key) ?? { peer, used: now }
    this.#byKey.delete(key)
    binding.peer = peer
    binding.used = now
    this.#byKey.set(key, binding)
    for (const [oldest, { used }] of this.#byKey) {
      if (this.#byKey.size <= this.#capacity && now - used < this.#lifetime) break
      this.#byKey.delete(oldest)
    }
  }
}

/**
 * Picks for the first call of a key by the policy, and then stays. A call without a key goes where the policy says.
 *
 * @example
 * import { HashKey, PowerOfTwo, Sticky } from "trunkline"
 *
 * const policy = Sticky.byKey(PowerOfTwo.make(), { key: HashKey.header("x-session"), lifetime: "30 minutes" })
 *
 * @category combinators
 * @since 0.1.0
 */
export const byKey: {
  (options?: Options): (self: Picker.PickerPolicy) => Picker.PickerPolicy
  (self: Picker.PickerPolicy, options?: Options): Picker.PickerPolicy
} = Function.dual(PolicyWrapper.isDataFirst, (self: Picker.PickerPolicy, options?: Options): Picker.PickerPolicy => {
  const keyOf = options?.key ?? HashKey.option
  const capacity = Math.max(1, options?.capacity ?? 10_000)
  const lifetime = options?.lifetime === undefined ? Infinity : Duration.toMillis(options.lifetime)

  return PolicyWrapper.make(self, () => {
    const bindings = new Bindings(capacity, lifetime)
    let ready: ReadonlySet<Peer> = new Set()
    return {
      set: (set) => {
        ready = new Set(set.ready)
        return set
      },
      picker: (picker) => ({
        pick(call, now) {
          const given = keyOf(call)
          if (given === undefined) return picker.pick(call, now)
          const key = textOf(given)
          const bound = bindings.get(key, now)
          const stays = bound !== undefined && ready.has(bound)
          const picked = stays && !call.triedPeers.includes(bound.id) ? bound : picker.pick(call, now)
          if (picked._tag === "Peer") bindings.set(key, stays ? bound : picked, now)
          return picked
        }
      })
    }
  })
})
