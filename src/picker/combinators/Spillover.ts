/**
 * Groups of peers used together: how much each one carries follows from how much of it is ready.
 */
import { Duration, Effect, Random, Stream } from "effect"
import * as PeerStatus from "../../peer/PeerStatus.ts"
import * as Groups from "./Groups.ts"
import * as Picker from "../Picker.ts"

/**
 * How groups spill over.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How much more than its share of ready peers a group is taken to be able to carry. Default 1.4. */
  readonly overprovision?: number | undefined
  /** How long a group that gets no calls stays connected. Default 15 minutes. */
  readonly retentionInterval?: Duration.Input | undefined
}

/** What each group carries, in percent, for the share of each that is ready. They come to 100, or to 0 if nobody is. */
export const loads = (shares: ReadonlyArray<number>, overprovision: number): ReadonlyArray<number> => {
  // Hundredths of a percent are noise of the arithmetic; whole ones are what Envoy counts in.
  const health = shares.map((share) => Math.min(100, Math.floor(Number((share * 100 * overprovision).toFixed(2)))))
  const total = Math.min(
    100,
    health.reduce((sum, share) => sum + share, 0)
  )
  if (total === 0) return shares.map(() => 0)
  let left = 100
  const parts = health.map((share) => {
    const part = Math.min(left, Math.floor((share * 100) / total))
    left -= part
    return part
  })
  // What rounding left goes to the first that carries anything.
  const first = parts.findIndex((part) => part > 0)
  return parts.map((part, i) => (i === first ? part + left : part))
}

/** Of the peers of each group that count, the share of which this holds. */
const sharesOf = (groups: ReadonlyArray<Groups.Group>, counts: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counting = Groups.counting(groups)
  return groups.map((group, i) => Math.min(1, counts[i]! / Math.max(1, group.set.peers.filter(counting(group)).length)))
}

/** How many peers of each group are ready. Those that do not count are only ready when none that counts is. */
export const ready = (groups: ReadonlyArray<Groups.Group>): ReadonlyArray<number> =>
  groups.map(({ set }) => set.ready.length)

/**
 * How many peers of each group there are of which nothing bad is known: those of a group nobody has connected yet are among
 * them.
 */
export const hopeful = (groups: ReadonlyArray<Groups.Group>): ReadonlyArray<number> => {
  const counting = Groups.counting(groups)
  return groups.map((group) => {
    const ready = new Set(group.set.ready)
    return group.set.peers.filter(counting(group)).filter((peer) => {
      return ready.has(peer) || PeerStatus.mayBecomeReady(peer.status)
    }).length
  })
}

const spread = (groups: ReadonlyArray<Groups.Group>, parts: ReadonlyArray<number>, random: Random.Random) => {
  const pickers = groups.map(({ picker }) => picker)
  const used = parts.findIndex((part) => part === 100)
  if (used >= 0) return pickers[used]!
  return {
    pick(call, now) {
      let left = random.nextDoubleUnsafe() * 100
      let i = 0
      while (i < parts.length - 1 && left >= parts[i]!) left -= parts[i++]!
      const picked = pickers[i]!.pick(call, now)
      if (call.triedPeers.length === 0 || !Picker.isTried(picked, call)) return picked
      // Its group has nobody else for it; another one may.
      for (const [other, picker] of pickers.entries()) {
        const instead = other === i || parts[other] === 0 ? picked : picker.pick(call, now)
        if (instead._tag === "Peer" && !Picker.isTried(instead, call)) return instead
      }
      return picked
    }
  } satisfies Picker.Picker
}

/**
 * What follows from the percentage of calls that each group could carry if those of its peers of which nothing bad is
 * known were ready, and from the percentage it carries now: groups of the former are connected, those of the latter used.
 */
export const plan = (
  groups: ReadonlyArray<Groups.Group>,
  hopes: ReadonlyArray<number>,
  parts: ReadonlyArray<number>,
  random: Random.Random
): Groups.Plan => {
  const hoped = groups.filter((_, i) => hopes[i]! > 0 || parts[i]! > 0)
  const wanted = hoped.length === 0 ? groups : hoped
  const nobody = parts.every((part) => part === 0)
  const picker = nobody ? (wanted[0]?.picker ?? Picker.empty) : spread(groups, parts, random)
  return { wanted, picker, next: Infinity }
}

/** Spreads calls over the groups of a policy's peers. */
export const make = (
  self: Picker.PickerPolicy,
  groupOf: Groups.Options["groupOf"],
  options?: Options
): Picker.PickerPolicy => {
  const overprovision = options?.overprovision ?? 1.4
  return {
    ...self,
    pickers: (sets) =>
      Stream.unwrap(
        Effect.map(Random.Random, (random) =>
          Groups.make(self, {
            groupOf,
            retentionMillis: Duration.toMillis(options?.retentionInterval ?? "15 minutes"),
            choice: () => (groups) =>
              plan(
                groups,
                loads(sharesOf(groups, hopeful(groups)), overprovision),
                loads(sharesOf(groups, ready(groups)), overprovision),
                random
              )
          }).pickers(sets)
        )
      )
  }
}
