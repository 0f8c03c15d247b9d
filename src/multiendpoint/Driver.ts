/**
 * Runs the state machine of one list.
 *
 * The driver steps the machine at each event, and at the next due instant with a single timer. It carries out the commands
 * of a step at once. A command may cause further events before the step returns, so the state is always read again.
 */
import { type Clock, Effect, Exit, type Random, type Scope, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { CallCount } from "./ErrorRate.ts"
import * as State from "./MultiEndpointState.ts"

/** The services and callbacks that a driver runs with. */
export interface DriverEnvironment {
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly callCount: (endpoint: string) => CallCount
  /** Succeeds if an endpoint serves. */
  readonly probe: (endpoint: string) => Effect.Effect<unknown, unknown>
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly switched: (list: Driver, command: State.Switched) => void
}

/** The driver of one list. */
export class Driver {
  readonly name: string
  readonly scope: Scope.Closeable
  /** Changes when calls go to another pool. */
  readonly rerouted: StateRef.Writable<void> = StateRef.make<void>(undefined)
  /** Whether it has been removed. */
  closed = false
  readonly #environment: DriverEnvironment
  readonly #due: StateRef.Writable<number>
  #state: State.State

  constructor(
    environment: DriverEnvironment,
    {
      name,
      scope,
      start
    }: {
      readonly name: string
      readonly scope: Scope.Closeable
      readonly start: (context: State.StepContext) => State.State
    }
  ) {
    this.name = name
    this.scope = scope
    this.#environment = environment
    this.#state = start(this.#context())
    this.#due = StateRef.make(State.dueAt(this.#state))
  }

  get state(): State.State {
    return this.#state
  }

  get now(): number {
    return Deadline.nowUnsafe(this.#environment.clock)
  }

  #context(): State.StepContext {
    const { random, callCount } = this.#environment
    return { now: this.now, chance: random.nextDoubleUnsafe(), callCount }
  }

  /** Steps the machine with an event, and carries out its commands. */
  handle(event: State.Event): void {
    if (this.closed) return
    const [state, commands] = State.step(this.#state, event, this.#context())
    this.#state = state
    for (const command of commands) {
      if (command._tag === "Probe") this.#environment.fork(this.#probe(command.endpoint))
      else {
        this.#environment.switched(this, command)
        this.rerouted.set()
      }
    }
    // Last, because the timer may wake at once.
    const due = State.dueAt(this.#state)
    if (due !== this.#due.current()) this.#due.set(due)
  }

  /** Reports whether an endpoint is ready, which is an event if it has changed. */
  reportReadiness(endpoint: string, ready: boolean): void {
    const known = this.#state.endpoints.get(endpoint)?.availability
    if (known !== undefined && (known === "Available") !== ready) this.handle({ _tag: ready ? "Up" : "Down", endpoint })
  }

  /** One probe, with the interval between probes as its timeout. */
  #probe(endpoint: string): Effect.Effect<void> {
    return this.#environment.probe(endpoint).pipe(
      Effect.timeout(this.#state.settings.errorRate?.probeIntervalMillis ?? 0),
      Effect.exit,
      Effect.map((exit) => this.handle({ _tag: "Probed", endpoint, good: Exit.isSuccess(exit) }))
    )
  }

  #sleepUntil(instant: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const remaining = instant - this.now
      return remaining <= 0
        ? Effect.void
        : Effect.andThen(Effect.sleep(Math.ceil(remaining)), this.#sleepUntil(instant))
    })
  }

  /** Runs the timer. */
  get run(): Effect.Effect<void> {
    return this.#due.changes.pipe(
      Stream.switchMap((due) => (due === Infinity ? Stream.empty : Stream.fromEffect(this.#sleepUntil(due)))),
      Stream.runForEach(() => Effect.sync(() => this.handle({ _tag: "Elapsed" })))
    )
  }
}
