/**
 * What happens in a run: its calls, their attempts on each backend, its phases and its events.
 *
 * Everything is counted for the phase it began in, so that a call that was under way when a backend died belongs to the
 * time before. Instants are milliseconds since the journal was begun.
 */
import type { Code, RpcError } from "trunkline"
import { Histogram } from "./Histogram.ts"
import { LastSecond } from "./LastSecond.ts"

/** The attempts one backend got in one phase. */
export interface Tally {
  attempts: number
  failed: number
  /** Those of the failed that were still under way when the phase was over. */
  cutOff: number
  /** When the first of them was answered. */
  answered: number | undefined
}

export class Phase {
  readonly name: string
  readonly start: number
  calls = 0
  failed = 0
  retries = 0
  readonly latency = new Histogram()
  readonly #tallies = new Map<string, Tally>()

  constructor(name: string, start: number) {
    this.name = name
    this.start = start
  }

  of(peer: string): Tally {
    let tally = this.#tallies.get(peer)
    if (tally === undefined)
      this.#tallies.set(peer, (tally = { attempts: 0, failed: 0, cutOff: 0, answered: undefined }))
    return tally
  }

  get attempts(): number {
    return [...this.#tallies.values()].reduce((sum, { attempts }) => sum + attempts, 0)
  }
}

/** The latencies of one backend's attempts. */
export interface Latencies {
  readonly whole: Histogram
  readonly second: LastSecond
}

/** How an event is meant: a fault, a recovery, or neither. */
export type Mood = "bad" | "good" | "plain"

export interface Event {
  readonly at: number
  readonly mood: Mood
  readonly text: string
}

export class Journal {
  readonly phases: Array<Phase> = []
  readonly events: Array<Event> = []
  readonly retries = new Map<Code.Code, number>()
  /** The first failed call's error; the others are mostly the same. */
  failure: unknown
  readonly #clock: () => number
  #origin: number
  readonly #latencies = new Map<string, Latencies>()

  constructor(clock: () => number) {
    this.#clock = clock
    this.#origin = clock()
    this.phases.push(new Phase("before the start", -Infinity))
  }

  now(): number {
    return this.#clock() - this.#origin
  }

  /** The run starts here; what came before it is forgotten. */
  start(name: string): void {
    this.#origin = this.#clock()
    this.phases.length = 0
    this.retries.clear()
    this.begin(name)
  }

  begin(name: string): void {
    this.phases.push(new Phase(name, this.now()))
  }

  tell(text: string, mood: Mood = "plain"): void {
    this.events.push({ at: this.now(), mood, text })
  }

  /** A call that should have started at `due` starts. */
  call(due: number): (error: unknown) => void {
    const phase = this.#phase
    phase.calls++
    return (error) => {
      phase.latency.record(this.now() - due)
      if (error === undefined) return
      phase.failed++
      this.failure ??= error
    }
  }

  retry(error: RpcError.RpcError): void {
    this.#phase.retries++
    this.retries.set(error.code, (this.retries.get(error.code) ?? 0) + 1)
  }

  /** An attempt goes to a backend. */
  attempt(peer: string): (failed: boolean) => void {
    const start = this.now()
    const phase = this.#phase
    const tally = phase.of(peer)
    tally.attempts++
    return (failed) => {
      const end = this.now()
      const { second, whole } = this.latencies(peer)
      second.record(end - start, end)
      whole.record(end - start)
      if (!failed) tally.answered ??= end
      else {
        tally.failed++
        if (phase !== this.#phase) tally.cutOff++
      }
    }
  }

  latencies(peer: string): Latencies {
    let latencies = this.#latencies.get(peer)
    if (latencies === undefined) {
      this.#latencies.set(peer, (latencies = { whole: new Histogram(), second: new LastSecond() }))
    }
    return latencies
  }

  sum(count: (phase: Phase) => number): number {
    return this.phases.reduce((sum, phase) => sum + count(phase), 0)
  }

  get #phase(): Phase {
    return this.phases.at(-1)!
  }
}
