/**
 * What is said of a peer that is connected: whether it may be sent calls, and how many in comparison with others.
 *
 * Several signals judge a peer, each without knowing the others, so what they say must come to the same in any order and
 * however often it is put together: the worst status counts, and weights are multiplied, one per signal.
 */
import { Function } from "effect"

/**
 * `Ready` takes calls; `Probe` takes one call, whose end decides; `Ejected` takes none.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = "Ready" | "Probe" | "Ejected"

/**
 * What one signal says of a peer, or what all of them come to.
 *
 * A verdict of `Probe` allows one call and no more: the signal that wants another says so with a new object.
 *
 * @category models
 * @since 0.1.0
 */
export interface HealthVerdict {
  readonly status: Status
  /** A factor of the peer's weight, from 0 to 1. At 0 the peer is sent calls only while nobody else is ready. */
  readonly weight: number
  /** Why the peer is not simply ready; every verdict but `healthy` says so. */
  readonly cause: string | undefined
  /** When it is looked at again, in milliseconds of the monotonic clock; `Infinity` if that depends on an event. */
  readonly until: number
}

/**
 * Nothing speaks against the peer.
 *
 * @category constants
 * @since 0.1.0
 */
export const healthy: HealthVerdict = { status: "Ready", weight: 1, cause: undefined, until: Infinity }

/**
 * Keeps calls away.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ejected = (cause: string, until: number = Infinity): HealthVerdict => ({
  status: "Ejected",
  weight: 1,
  cause,
  until
})

/**
 * Lets one call through.
 *
 * @category constructors
 * @since 0.1.0
 */
export const probe = (cause: string): HealthVerdict => ({ status: "Probe", weight: 1, cause, until: Infinity })

/** A weight within its bounds; one that is not a number says nothing. */
const clamped = (weight: number): number => (Number.isNaN(weight) ? 1 : Math.min(1, Math.max(0, weight)))

/**
 * Lowers the peer's share of the calls by a factor from 0 to 1; what is outside counts as the nearer of the two.
 *
 * @category constructors
 * @since 0.1.0
 */
export const weighted = (weight: number, cause: string, until: number = Infinity): HealthVerdict => ({
  status: "Ready",
  weight: clamped(weight),
  cause,
  until
})

const ranks: Readonly<Record<Status, number>> = { Ready: 0, Probe: 1, Ejected: 2 }

/** Whether a says more against the peer than b. Weights have no part in it: they change when verdicts are merged. */
const isWorse = (a: HealthVerdict, b: HealthVerdict): boolean => {
  if (a.status !== b.status) return ranks[a.status] > ranks[b.status]
  if (a.cause === undefined || b.cause === undefined) return a.cause !== undefined && b.cause === undefined
  return a.until === b.until ? a.cause > b.cause : a.until > b.until
}

/**
 * Both verdicts together: the worse status with its cause, and the product of the weights.
 *
 * @example
 * import { HealthVerdict } from "trunkline/extend"
 *
 * const both = HealthVerdict.merge(HealthVerdict.ejected("5 failures in a row"), HealthVerdict.weighted(0.5, "new"))
 * both.status // => "Ejected"
 * both.weight // => 0.5
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge: {
  (that: HealthVerdict): (self: HealthVerdict) => HealthVerdict
  (self: HealthVerdict, that: HealthVerdict): HealthVerdict
} = Function.dual(2, (self: HealthVerdict, that: HealthVerdict): HealthVerdict => {
  const worse = isWorse(that, self) ? that : self
  const weight = clamped(self.weight) * clamped(that.weight)
  return weight === worse.weight ? worse : { ...worse, weight }
})
