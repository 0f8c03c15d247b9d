/**
 * Which endpoint of an ordered list is current: the rules, and nothing that runs.
 *
 * Failover goes wrong where timers meet: a delayed switch that fires after the world has changed leads calls to an endpoint
 * that is down, or to one that is no longer listed. Here a timer is an instant in the state, so it cannot outlive what it
 * was set for. A step first lets everything happen that fell due, in order of time (at one instant recovery timeouts come
 * first and switches last), then the event; and a switch that falls due looks for its target then, not when it was set.
 *
 * `(state, event, context) -> (state, commands)`. `Driver` steps it at `dueAt` and carries out the commands.
 */
import * as ErrorRate from "./ErrorRate.ts"

/**
 * What is known of an endpoint. A recovering one was available just before, or is new: it gets its time before others
 * take over.
 *
 * @category models
 * @since 0.1.0
 */
export type Availability = "Available" | "Recovering" | "Unavailable"

/**
 * The timings of a list, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** How long an endpoint that went down may take to come back before it counts as unavailable; 0 for no time. */
  readonly recoveryMillis: number
  /** How long calls stay where they still work when something better is available; 0 for not at all. */
  readonly switchingMillis: number
  /** The share of the switching delay that is added at random, so that many clients do not switch as one. */
  readonly jitter: number
  readonly errorRate: ErrorRate.ErrorRate | undefined
}

/**
 * One endpoint of a list. Instants are milliseconds, `Infinity` for never.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointState {
  readonly availability: Availability
  readonly recoverBy: number
  /** Set while its connections are fine and its calls are not. */
  readonly failing: ErrorRate.Failing | undefined
  /** Its calls up to the last judgement of error rates. */
  readonly counted: ErrorRate.CallCount
}

/**
 * Why another endpoint became current: one of lower priority, one of higher priority, or the old one is no longer listed.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason = "fallback" | "recover" | "replace"

/**
 * A list of endpoints in order of priority, and which is current.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  readonly settings: Settings
  /** In order of priority. */
  readonly endpoints: ReadonlyMap<string, EndpointState>
  readonly current: string
  readonly switchAt: number
  readonly judgeAt: number
  /** Switches so far. */
  readonly switches: Readonly<Record<Reason, number>>
}

/**
 * The endpoints of a list in order of priority, its settings, and the endpoints that are available at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Configuration {
  readonly endpoints: ReadonlyArray<string>
  readonly settings: Settings
  readonly available: ReadonlySet<string>
}

/**
 * What happens to a list.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Up"; readonly endpoint: string }
  | { readonly _tag: "Down"; readonly endpoint: string }
  | { readonly _tag: "Probed"; readonly endpoint: string; readonly good: boolean }
  /** Another configuration takes effect. */
  | ({ readonly _tag: "Updated" } & Configuration)
  /** Time has passed. */
  | { readonly _tag: "Elapsed" }

/**
 * When a step happens: milliseconds of the monotonic clock, a number in [0, 1) for jitter, and the calls of each endpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepContext {
  readonly now: number
  readonly chance: number
  readonly callCount: (endpoint: string) => ErrorRate.CallCount
}

/**
 * Another endpoint has become current, by their ids.
 *
 * @category models
 * @since 0.1.0
 */
export interface Switched {
  readonly _tag: "Switched"
  readonly from: string
  readonly to: string
  readonly reason: Reason
}

/**
 * What the driver does: announce a switch, or probe an endpoint and report the result.
 *
 * @category models
 * @since 0.1.0
 */
export type Command = Switched | { readonly _tag: "Probe"; readonly endpoint: string }

/**
 * The next state, and the commands of the step.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = readonly [State, ReadonlyArray<Command>]

const noCommands: ReadonlyArray<Command> = []

/** An address that is listed twice has the place it is listed in last. */
const distinct = (endpoints: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(endpoints.toReversed())].reverse()

const created = (
  settings: Settings,
  available: boolean,
  { callCount, now }: { readonly callCount: ErrorRate.CallCount; readonly now: number }
): EndpointState => ({
  availability: available ? "Available" : settings.recoveryMillis > 0 ? "Recovering" : "Unavailable",
  recoverBy: available || settings.recoveryMillis <= 0 ? Infinity : now + settings.recoveryMillis,
  failing: undefined,
  counted: callCount
})

const judgeAt = (settings: Settings, now: number): number => now + (settings.errorRate?.periodMillis ?? Infinity)

/**
 * A new list. Its first endpoint is current, unless only others are available and there is no time to recover; that is no
 * switch yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ available, endpoints, settings }: Configuration, context: StepContext): State => {
  const ids = distinct(endpoints)
  const switches = { fallback: 0, recover: 0, replace: 0 }
  const list = {
    settings,
    endpoints: new Map(
      ids.map((id) => [
        id,
        created(settings, available.has(id), { callCount: context.callCount(id), now: context.now })
      ])
    ),
    current: ids[0]!,
    switchAt: Infinity,
    judgeAt: judgeAt(settings, context.now),
    switches
  }
  return { ...choose(list, context)[0], switches }
}

// ---------------------------------------------------------------------------------------------------------------------
// Choosing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What calls can count on: an endpoint that fails them is as good as down.
 *
 * @category getters
 * @since 0.1.0
 */
export const availabilityOf = ({ availability, failing }: EndpointState): Availability =>
  failing === undefined ? availability : "Unavailable"

/**
 * The available endpoint of the highest priority.
 *
 * @category getters
 * @since 0.1.0
 */
export const best = (self: State): string | undefined => {
  for (const [id, endpoint] of self.endpoints) if (availabilityOf(endpoint) === "Available") return id
  return undefined
}

const isBefore = (self: State, a: string, b: string): boolean => {
  for (const id of self.endpoints.keys()) {
    if (id === b) return false
    if (id === a) return true
  }
  return false
}

const switchTo = (self: State, to: string): Step => {
  const from = self.current
  const reason = !self.endpoints.has(from) ? "replace" : isBefore(self, to, from) ? "recover" : "fallback"
  const switches = { ...self.switches, [reason]: self.switches[reason] + 1 }
  return [{ ...self, current: to, switchAt: Infinity, switches }, [{ _tag: "Switched", from, to, reason }]]
}

/** Stays where it is; a switch that was to come is off. */
const stay = (self: State): Step => [self.switchAt === Infinity ? self : { ...self, switchAt: Infinity }, noCommands]

/** Makes current what should be, now or after the switching delay. */
const choose = (self: State, { chance, now }: StepContext): Step => {
  const { jitter, switchingMillis } = self.settings
  const top = best(self)
  const current = self.endpoints.get(self.current)
  if (current === undefined) return switchTo(self, top ?? self.endpoints.keys().next().value!)
  if (top === undefined || top === self.current) return stay(self)
  const availability = availabilityOf(current)
  if (availability === "Recovering" && !isBefore(self, top, self.current)) return stay(self)
  if (availability === "Unavailable" || switchingMillis <= 0) return switchTo(self, top)
  return [
    self.switchAt === Infinity ? { ...self, switchAt: now + switchingMillis * (1 + jitter * chance) } : self,
    noCommands
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------------------------------

/**
 * When the next thing happens by itself; `Infinity` for never.
 *
 * @category getters
 * @since 0.1.0
 */
export const dueAt = (self: State): number => {
  let due = Math.min(self.switchAt, self.judgeAt)
  for (const { failing, recoverBy } of self.endpoints.values()) {
    due = Math.min(due, recoverBy, failing?.probeAt ?? Infinity)
  }
  return due
}

const mapEndpoints = (self: State, f: (endpoint: EndpointState, id: string) => EndpointState): State => ({
  ...self,
  endpoints: new Map([...self.endpoints].map(([id, endpoint]) => [id, f(endpoint, id)]))
})

const setEndpoint = (self: State, id: string, change: Partial<EndpointState>): State =>
  mapEndpoints(self, (endpoint, other) => (other === id ? { ...endpoint, ...change } : endpoint))

/** Judges the calls since the last time. */
const judge = (self: State, context: StepContext): State => {
  const { errorRate } = self.settings
  if (errorRate === undefined) return { ...self, judgeAt: Infinity }
  const judged = mapEndpoints(self, (endpoint, id) => {
    const counted = context.callCount(id)
    const left = endpoint.failing === undefined && ErrorRate.exceeds(errorRate, endpoint.counted, counted)
    return { ...endpoint, counted, failing: left ? ErrorRate.start(errorRate, context.now) : endpoint.failing }
  })
  return { ...judged, judgeAt: context.now + errorRate.periodMillis }
}

/** What falls due at one instant. */
const fireDue = (self: State, context: StepContext): Step => {
  const { now } = context
  for (const [id, { failing, recoverBy }] of self.endpoints) {
    if (recoverBy <= now) {
      return choose(setEndpoint(self, id, { availability: "Unavailable", recoverBy: Infinity }), context)
    }
    if (failing !== undefined && failing.probeAt <= now) {
      const probing = setEndpoint(self, id, { failing: { ...failing, probeAt: Infinity } })
      return [probing, [{ _tag: "Probe", endpoint: id }]]
    }
  }
  if (self.judgeAt <= now) return choose(judge(self, context), context)
  const top = best(self)
  return top === undefined || top === self.current ? stay(self) : switchTo(self, top)
}

/** Everything that has fallen due, in order of time. */
const elapse = (self: State, context: StepContext): Step => {
  let state = self
  let commands = noCommands
  for (let due = dueAt(state); due <= context.now; due = dueAt(state)) {
    const [next, more] = fireDue(state, { ...context, now: due })
    state = next
    if (more.length > 0) commands = [...commands, ...more]
  }
  return [state, commands]
}

// ---------------------------------------------------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------------------------------------------------

const wentDown = (self: State, id: string, { now }: StepContext): State => {
  const { errorRate, recoveryMillis } = self.settings
  const endpoint = self.endpoints.get(id)
  // A further report of the same loss does not give it more time.
  if (endpoint?.availability !== "Available") return self
  const { failing } = endpoint
  return setEndpoint(self, id, {
    ...(recoveryMillis > 0
      ? { availability: "Recovering", recoverBy: now + recoveryMillis }
      : { availability: "Unavailable", recoverBy: Infinity }),
    // What was good before the loss no longer counts; a probe under way still reports.
    failing: failing === undefined || errorRate === undefined ? failing : { ...failing, good: 0 }
  })
}

const wasProbed = (
  self: State,
  { endpoint: id, good }: Event & { readonly _tag: "Probed" },
  { callCount, now }: StepContext
): State => {
  const { errorRate } = self.settings
  const failing = self.endpoints.get(id)?.failing
  if (errorRate === undefined || failing === undefined) return self
  return setEndpoint(self, id, { failing: ErrorRate.probed(errorRate, failing, { good, now }), counted: callCount(id) })
}

/** New timings hold for what is under way too, but never make it last longer. */
const updated = (self: State, event: Event & { readonly _tag: "Updated" }, context: StepContext): State => {
  const { available, endpoints, settings } = event
  const { now } = context
  const sooner = (at: number, millis: number) => (at === Infinity ? at : Math.min(at, now + millis))
  return {
    ...self,
    settings,
    switchAt: sooner(self.switchAt, settings.switchingMillis * (1 + settings.jitter)),
    judgeAt: self.judgeAt === Infinity ? judgeAt(settings, now) : sooner(self.judgeAt, judgeAt(settings, 0)),
    endpoints: new Map(
      distinct(endpoints).map((id) => {
        const kept = self.endpoints.get(id)
        if (kept === undefined)
          return [id, created(settings, available.has(id), { callCount: context.callCount(id), now: context.now })]
        const recoverBy = sooner(kept.recoverBy, settings.recoveryMillis)
        const failing = settings.errorRate === undefined ? undefined : kept.failing
        return [id, { ...kept, recoverBy, failing }]
      })
    )
  }
}

const applyEvent = (self: State, event: Event, context: StepContext): State => {
  switch (event._tag) {
    case "Up":
      return self.endpoints.has(event.endpoint)
        ? setEndpoint(self, event.endpoint, { availability: "Available", recoverBy: Infinity })
        : self
    case "Down":
      return wentDown(self, event.endpoint, context)
    case "Probed":
      return wasProbed(self, event, context)
    case "Updated":
      return updated(self, event, context)
    case "Elapsed":
      return self
  }
}

/**
 * The list after an event. An event about an endpoint that is not listed changes nothing but the time.
 *
 * @category transitions
 * @since 0.1.0
 */
export const step = (self: State, event: Event, context: StepContext): Step => {
  const [before, early] = elapse(self, context)
  const [chosen, commands] = choose(applyEvent(before, event, context), context)
  const [after, late] = elapse(chosen, context)
  return [after, [...early, ...commands, ...late]]
}
