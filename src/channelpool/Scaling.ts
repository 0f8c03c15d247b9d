/**
 * How many channels a load wants: a function of samples, and nothing that runs.
 *
 * Channels are added in small steps with a pause between them, because a burst is over before they are open; they are taken
 * away only after several quiet checks in a row, because opening them again is what the burst would wait for. The pause is
 * claimed when channels are ordered, not when they are there.
 */

/**
 * The bounds. Loads are calls under way on one channel, times milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly min: number
  readonly max: number
  /** At or below this load on average there are too many channels. */
  readonly minLoad: number
  /** Above this load a channel wants company. */
  readonly maxLoad: number
  readonly coolDownMillis: number
}

/**
 * What is remembered from one sample to the next.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  /** No channel is added before. */
  readonly coolUntil: number
  /** Checks in a row that found too little load. */
  readonly quiet: number
}

/**
 * A pool at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sample {
  /** Calls under way on all channels, and what failures add to them. */
  readonly load: number
  /** Channels that calls can go to. */
  readonly active: number
  /** Channels there are or are being opened, without those that drain. */
  readonly size: number
}

/**
 * Before the first sample.
 *
 * @category constructors
 * @since 0.1.0
 */
export const initial: State = { coolUntil: -Infinity, quiet: 0 }

/** The most channels added at one time: a third as many again, but at least two may be. */
const largestStep = (active: number): number => Math.max(2, Math.ceil(0.3 * active))

/** The most channels taken away at one time, and the quiet checks before that. */
const largestShrink = 2
const quietChecks = 3

/**
 * Whether the load wants more channels, given that of the channel a call was just counted on.
 *
 * @category getters
 * @since 0.1.0
 */
export const isHigh = (self: Settings, selected: number, { active, load }: Sample): boolean =>
  selected > self.maxLoad || load >= active * self.maxLoad

/**
 * How many channels to add for a load that is high. If it is any, the pause before the next ones begins now.
 *
 * @category transitions
 * @since 0.1.0
 */
export const grow = (
  self: Settings,
  state: State,
  { active, load, size }: Sample,
  now: number
): readonly [State, number] => {
  if (now < state.coolUntil) return [state, 0]
  const target = Math.max(1, Math.floor((self.minLoad + self.maxLoad) / 2))
  const desired = Math.ceil(load / target)
  const add = Math.max(0, Math.min(desired - active, largestStep(active), self.max - size))
  return [add === 0 ? state : { ...state, coolUntil: now + self.coolDownMillis }, add]
}

/**
 * How many channels to take away at a check.
 *
 * @category transitions
 * @since 0.1.0
 */
export const shrink = (self: Settings, state: State, { active, load, size }: Sample): readonly [State, number] => {
  if (load > self.minLoad * active || size <= self.min) return [{ ...state, quiet: 0 }, 0]
  const quiet = state.quiet + 1
  return quiet < quietChecks
    ? [{ ...state, quiet }, 0]
    : [{ ...state, quiet: 0 }, Math.min(largestShrink, size - self.min)]
}
