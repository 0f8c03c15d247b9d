/**
 * How many channels a load needs, as a pure function of samples.
 *
 * Channels are added in small steps with a cool-down between them, because a burst is often over before they are open. They
 * are removed only after several checks in a row with a low load, because the next burst would wait for new ones. The
 * cool-down starts when channels are requested, not when they are open.
 */

/**
 * The bounds. Loads are calls in flight on one channel; times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly min: number
  readonly max: number
  /** At or below this average load, channels are removed. */
  readonly minLoad: number
  /** Above this load, channels are added. */
  readonly maxLoad: number
  readonly coolDownMillis: number
}

/**
 * The state between samples.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  /** No channel is added before this instant. */
  readonly coolUntil: number
  /** Checks in a row that found a low load. */
  readonly lowChecks: number
}

/**
 * The load of a group at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sample {
  /** Calls in flight on all channels, and the penalties of failures. */
  readonly load: number
  /** Ready channels. */
  readonly active: number
  /** Channels that are open or being opened, without draining ones. */
  readonly size: number
}

/**
 * The state before the first sample.
 *
 * @category constructors
 * @since 0.1.0
 */
export const initial: State = { coolUntil: -Infinity, lowChecks: 0 }

/** The maximum number of channels added at once: 30 %, but at least two. */
const maxGrowth = (active: number): number => Math.max(2, Math.ceil(0.3 * active))

/** The maximum number of channels removed at once, and the checks with a low load before that. */
const maxShrink = 2
const minLowChecks = 3

/**
 * Whether the load needs more channels. `selected` is the load of the channel that has just been picked.
 *
 * @category getters
 * @since 0.1.0
 */
export const isHigh = (self: Settings, selected: number, { active, load }: Sample): boolean =>
  selected > self.maxLoad || load >= active * self.maxLoad

/**
 * How many channels to add for a high load. The cool-down starts if there are any.
 *
 * @category transitions
 * @since 0.1.0
 */
export const grow = (
  self: Settings,
  state: State,
  { active, load, now, size }: Sample & { readonly now: number }
): readonly [State, number] => {
  if (now < state.coolUntil) return [state, 0]
  const target = Math.max(1, Math.floor((self.minLoad + self.maxLoad) / 2))
  const desired = Math.ceil(load / target)
  const add = Math.max(0, Math.min(desired - active, maxGrowth(active), self.max - size))
  return [add === 0 ? state : { ...state, coolUntil: now + self.coolDownMillis }, add]
}

/**
 * How many channels to remove at a check.
 *
 * @category transitions
 * @since 0.1.0
 */
export const shrink = (self: Settings, state: State, { active, load, size }: Sample): readonly [State, number] => {
  if (load > self.minLoad * active || size <= self.min) return [{ ...state, lowChecks: 0 }, 0]
  const lowChecks = state.lowChecks + 1
  return lowChecks < minLowChecks
    ? [{ ...state, lowChecks }, 0]
    : [{ ...state, lowChecks: 0 }, Math.min(maxShrink, size - self.min)]
}
