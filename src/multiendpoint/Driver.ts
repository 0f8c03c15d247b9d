/**
 * One list at work: the rules, given time.
 *
 * Events are taken one by one, as they come; between them a single timer waits for what falls due next. What the rules
 * command is done at once and may bring further events before the first is through, so the state is always read anew.
 */
import { type Clock, Effect, Exit, type Random, type Scope, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { Tally } from "./ErrorRate.ts"
import * as State from "./MultiEndpointState.ts"

/** What a list needs of its surroundings. */
export interface Surroundings {
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly tally: (endpoint: string) => Tally
  /** Succeeds if an endpoint is well. */
  readonly probe: (endpoint: string) => Effect.Effect<unknown, unknown>
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly switched: (list: Running, command: State.Switched) => void
}

/** A list at work. */
export class Running {
  readonly name: string
  readonly scope: Scope.Closeable
  /** Set when calls go elsewhere than before. */
  readonly moved: StateRef.Writable<void> = StateRef.make<void>(undefined)
  /** Whether it has been removed. */
  closed = false
  readonly #around: Surroundings
  readonly #due: StateRef.Writable<number>
  #state: State.State

  constructor(
    name: string,
    scope: Scope.Closeable,
    around: Surroundings,
    start: (moment: State.Moment) => State.State
  ) {
    this.name = name
    this.scope = scope
    this.#around = around
    this.#state = start(this.#moment())
    this.#due = StateRef.make(State.dueAt(this.#state))
  }

  get state(): State.State {
    return this.#state
  }

  get now(): number {
    return Deadline.nowUnsafe(this.#around.clock)
  }

  #moment(): State.Moment {
    const { random, tally } = this.#around
    return { now: this.now, chance: random.nextDoubleUnsafe(), tally }
  }

  /** Something happens to the list. */
  happen(event: State.Event): void {
    if (this.closed) return
    const [state, commands] = State.step(this.#state, event, this.#moment())
    this.#state = state
    for (const command of commands) {
      if (command._tag === "Probe") this.#around.fork(this.#probe(command.endpoint))
      else {
        this.#around.switched(this, command)
        this.moved.set()
      }
    }
    // Last, because the timer may wake at once.
    const due = State.dueAt(this.#state)
    if (due !== this.#due.current()) this.#due.set(due)
  }

  /** How an endpoint is, if that is news. */
  see(endpoint: string, ready: boolean): void {
    const known = this.#state.endpoints.get(endpoint)?.availability
    if (known !== undefined && (known === "Available") !== ready) this.happen({ _tag: ready ? "Up" : "Down", endpoint })
  }

  /** One probe, which takes no longer than the time to the next. */
  #probe(endpoint: string): Effect.Effect<void> {
    return this.#around.probe(endpoint).pipe(
      Effect.timeout(this.#state.settings.errorRate?.probeIntervalMillis ?? 0),
      Effect.exit,
      Effect.map((exit) => this.happen({ _tag: "Probed", endpoint, good: Exit.isSuccess(exit) }))
    )
  }

  #until(instant: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = instant - this.now
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(Math.ceil(left)), this.#until(instant))
    })
  }

  /** The one timer, for as long as it is run. */
  get ticking(): Effect.Effect<void> {
    return this.#due.changes.pipe(
      Stream.switchMap((due) => (due === Infinity ? Stream.empty : Stream.fromEffect(this.#until(due)))),
      Stream.runForEach(() => Effect.sync(() => this.happen({ _tag: "Elapsed" })))
    )
  }
}
