/**
 * Calls stay in their own zone while it can carry them.
 *
 * Traffic between zones is slow and costs money, so a client prefers the peers of its own. How far is a question of what
 * it knows. `prefer` looks at the health of its own zone: when too many of its peers are not ready, what the rest cannot
 * carry goes to the others.
 *
 * `aware` looks at the size of zones. A zone with half of the clients and a third of the backends would run hot if all of
 * its calls stayed. So as many stay as the zone's share of the backends carries of its share of the clients, and the rest
 * goes to the zones that have more backends than clients, by how many more. If all clients do so, and have calls alike,
 * every backend has the same load.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware
 */
import { Duration, Effect, Function, Random, Stream } from "effect"
import type { Peer } from "../../peer/Peer.ts"
import * as Groups from "./Groups.ts"
import type * as Picker from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"
import * as Spillover from "./Spillover.ts"

/**
 * Prefers the peers whose endpoints are in a locality, and spills over to the others as the share of its ready peers,
 * times `overprovision` (default 1.4), falls below 1.
 *
 * @example
 * import { Locality, PowerOfTwo } from "trunkline"
 *
 * const policy = Locality.prefer(PowerOfTwo.make(), "eu-west-1a")
 *
 * @category combinators
 * @since 0.1.0
 */
export const prefer: {
  (locality: string, options?: Spillover.Options): (self: Picker.PickerPolicy) => Picker.PickerPolicy
  (self: Picker.PickerPolicy, locality: string, options?: Spillover.Options): Picker.PickerPolicy
} = Function.dual(
  PolicyWrapper.isDataFirst,
  (self: Picker.PickerPolicy, locality: string, options?: Spillover.Options): Picker.PickerPolicy =>
    Spillover.make(self, (set, peer) => (set.endpointOf(peer).locality === locality ? 0 : 1), options)
)

/**
 * So many of something in each zone.
 *
 * @category models
 * @since 0.1.0
 */
export type Census = Readonly<Record<string, number>>

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

/** Numbers as shares of their sum; all 0 if that is. */
const shares = (numbers: ReadonlyArray<number>): ReadonlyArray<number> => {
  const total = sum(numbers)
  return numbers.map((number) => (total > 0 ? number / total : 0))
}

const countIn = (census: Census, zone: string): number => (Object.hasOwn(census, zone) ? census[zone]! : 0)

/**
 * The share of its calls that a client in a zone sends to each zone, of those that have backends, so that all backends of
 * all clients have the same load.
 *
 * @example
 * import { Locality } from "trunkline"
 *
 * // Half of the clients and a third of the backends: two thirds stay.
 * const there = Locality.split("a", { a: 2, b: 1, c: 1 }, { a: 1, b: 1, c: 1 })
 * Math.round(there.a! * 100) // => 67
 * Math.round(there.b! * 100) // => 17
 *
 * @category getters
 * @since 0.1.0
 */
export const split = (zone: string, clients: Census, backends: Census): Census => {
  const zones = Object.keys(backends)
  const has = shares(zones.map((name) => countIn(backends, name)))
  const wide = sum(Object.values(clients))
  const wants = zones.map((name) => (wide > 0 ? countIn(clients, name) / wide : 0))
  const own = zones.indexOf(zone)
  const stays = own < 0 || has[own] === 0 ? 0 : Math.min(1, has[own]! / wants[own]!)
  const spare = shares(zones.map((_, i) => (i === own ? 0 : Math.max(0, has[i]! - wants[i]!))))
  // Nobody has anything to spare where no backend is near: then all of them are as good.
  const rest = sum(spare) > 0 ? spare : has
  return Object.fromEntries(zones.map((name, i) => [name, (i === own ? stays : 0) + (1 - stays) * rest[i]!]))
}

/**
 * Where clients run, and from when on zones matter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Awareness {
  /** How many clients of this kind run in each zone. Default equally many in every zone that has backends. */
  readonly clients?: Census | undefined
  /** With fewer ready peers than this calls go to all alike: shares of a few are coarse. Default 6. */
  readonly minimumPeers?: number | undefined
  /** How long a zone that gets no calls stays connected. Default 15 minutes. */
  readonly retentionInterval?: Duration.Input | undefined
}

/** Peers without a locality are of one zone that has no name. */
const zoneOf = (set: Picker.PeerSet, peer: Peer): string => set.endpointOf(peer).locality ?? ""

/**
 * Spreads calls over the zones of the peers' endpoints as `split` says for a client in `locality`. Zones that get no call
 * are not connected.
 *
 * @example
 * import { Locality, PowerOfTwo } from "trunkline"
 *
 * const policy = Locality.aware(PowerOfTwo.make(), "eu-west-1a", {
 *   clients: { "eu-west-1a": 10, "eu-west-1b": 5, "eu-west-1c": 5 }
 * })
 *
 * @category combinators
 * @since 0.1.0
 */
export const aware: {
  (locality: string, options?: Awareness): (self: Picker.PickerPolicy) => Picker.PickerPolicy
  (self: Picker.PickerPolicy, locality: string, options?: Awareness): Picker.PickerPolicy
} = Function.dual(
  PolicyWrapper.isDataFirst,
  (self: Picker.PickerPolicy, locality: string, options?: Awareness): Picker.PickerPolicy => {
    const minimum = options?.minimumPeers ?? 6

    /** What each of some zones gets, in percent, for so many peers in each. */
    const parts = (zones: ReadonlyArray<string>, counts: ReadonlyArray<number>): ReadonlyArray<number> => {
      if (sum(counts) < minimum) return shares(counts).map((share) => share * 100)
      const backends = Object.fromEntries(zones.map((zone, i) => [zone, counts[i]!]))
      const inhabited = Object.entries(backends).filter(([, count]) => count > 0)
      const clients = options?.clients ?? Object.fromEntries(inhabited.map(([zone]) => [zone, 1]))
      const there = split(locality, clients, backends)
      return zones.map((zone) => there[zone]! * 100)
    }

    return {
      ...self,
      pickers: (sets) =>
        Stream.unwrap(
          Effect.map(Random.Random, (random) => {
            /** Zones as this pool has met them: their number is their place. */
            const places = new Map([[locality, 0]])
            const placeOf = (zone: string): number => {
              const place = places.get(zone) ?? places.size
              places.set(zone, place)
              return place
            }
            return Groups.make(self, {
              groupOf: (set, peer) => placeOf(zoneOf(set, peer)),
              retentionMillis: Duration.toMillis(options?.retentionInterval ?? "15 minutes"),
              choice: () => (groups) => {
                const names = [...places.keys()]
                const zones = groups.map(({ key }) => names[key]!)
                const planned = parts(zones, Spillover.hopeful(groups))
                const now = parts(zones, Spillover.ready(groups))
                return Spillover.plan(groups, planned, now, random)
              }
            }).pickers(sets)
          })
        )
    }
  }
)
