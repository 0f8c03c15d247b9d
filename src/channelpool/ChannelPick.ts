/**
 * Which of several channels takes a call.
 *
 * Power of two choices, as in `PowerOfTwo`, but with replacement, and the first sample wins a tie. A tie-break that favours
 * the channel that has just responded would starve a channel that was just added.
 */
import type { Random } from "effect"
import type { Channel } from "./Channel.ts"
import type * as Penalty from "./Penalty.ts"

/** The channels to pick from, and what the pick depends on. */
export interface Candidates {
  readonly active: ReadonlyArray<Channel>
  readonly penalty: Penalty.Settings
  readonly random: Random.Random
}

/** The less loaded of two ready channels chosen at random; the first of them if they are equal. */
export const powerOfTwo = ({ active: channels, penalty, random }: Candidates, now: number): Channel | undefined => {
  let first: Channel | undefined
  for (let samples = 2 * channels.length; samples > 0; samples--) {
    const channel = channels[Math.floor(random.nextDoubleUnsafe() * channels.length)]!
    if (!channel.isReady) continue
    if (first !== undefined) return channel.cost(penalty, now) < first.cost(penalty, now) ? channel : first
    first = channel
  }
  return first ?? channels.find((channel) => channel.isReady)
}

/** The ready channel with the least load; of equal ones that with the fewest keys, and then the oldest. */
export const leastLoaded = (
  { active, penalty }: Omit<Candidates, "random">,
  now: number,
  except?: Channel
): Channel | undefined => {
  let best: Channel | undefined
  let minCost = Infinity
  for (const channel of active) {
    if (!channel.isReady || channel === except) continue
    const cost = channel.cost(penalty, now)
    if (best !== undefined && (cost > minCost || (cost === minCost && channel.keys >= best.keys))) continue
    best = channel
    minCost = cost
  }
  return best
}

/** The first ready channel at or after a turn. */
export const roundRobin = (channels: ReadonlyArray<Channel>, turn: number): Channel | undefined => {
  for (let i = 0; i < channels.length; i++) {
    const channel = channels[(turn + i) % channels.length]!
    if (channel.isReady) return channel
  }
  return undefined
}
