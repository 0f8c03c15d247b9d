/**
 * Which of several channels takes a call.
 *
 * Two samples and a comparison, as in `PowerOfTwo`, but with replacement and the first winning ties: a pick that favours
 * what has just answered starves a channel that was just added.
 */
import type { Random } from "effect"
import type { Channel } from "./Channel.ts"
import type * as Penalty from "./Penalty.ts"

/** The less busy of two ready channels chosen at random, the first of them if they are equal. */
export const ofTwo = (
  channels: ReadonlyArray<Channel>,
  penalty: Penalty.Settings,
  random: Random.Random,
  now: number
): Channel | undefined => {
  let first: Channel | undefined
  for (let tries = 2 * channels.length; tries > 0; tries--) {
    const channel = channels[Math.floor(random.nextDoubleUnsafe() * channels.length)]!
    if (!channel.isReady) continue
    if (first !== undefined) return channel.cost(penalty, now) < first.cost(penalty, now) ? channel : first
    first = channel
  }
  return first ?? channels.find((channel) => channel.isReady)
}

/** The ready channel with the least load; of equal ones that with the fewest keys, and then the oldest. */
export const leastBusy = (
  channels: ReadonlyArray<Channel>,
  penalty: Penalty.Settings,
  now: number,
  except?: Channel
): Channel | undefined => {
  let best: Channel | undefined
  let least = Infinity
  for (const channel of channels) {
    if (!channel.isReady || channel === except) continue
    const cost = channel.cost(penalty, now)
    if (best !== undefined && (cost > least || (cost === least && channel.keys >= best.keys))) continue
    best = channel
    least = cost
  }
  return best
}

/** The first ready channel from a turn on. */
export const inTurn = (channels: ReadonlyArray<Channel>, turn: number): Channel | undefined => {
  for (let i = 0; i < channels.length; i++) {
    const channel = channels[(turn + i) % channels.length]!
    if (channel.isReady) return channel
  }
  return undefined
}
