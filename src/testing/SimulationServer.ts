/**
 * A simulated server: a line of calls, some of them being worked on, and what goes wrong.
 *
 * It knows times and how calls end, and nothing of who sent them.
 */
import type { Duration } from "effect"
import type { Code } from "../status/Code.ts"
import type { Alarm, SimulationClock } from "./SimulationClock.ts"
import type { Fault } from "./SimulationFault.ts"
import * as Times from "./SimulationTimes.ts"

/**
 * A server to simulate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Server {
  /** How long it works on a call: a time, or a chance such as `exponential("10 millis")`. */
  readonly takes: Duration.Input | Times.Times
  /** How many calls it works on at once; the others wait in line. Default all of them. */
  readonly atOnce?: number | undefined
  /** Its share in comparison with others, as discovery says it. Default 1. */
  readonly weight?: number | undefined
  /** When discovery begins to name it, and ceases to: it still ends the calls it has. Default always. */
  readonly joins?: Duration.Input | undefined
  readonly leaves?: Duration.Input | undefined
  readonly faults?: ReadonlyArray<Fault> | undefined
}

/** A call at a server. */
export interface Job {
  /** Told how it ends: with an error, or well. Not told if it is taken away. */
  readonly ended: (code: Code | undefined) => void
  /** The end of the work on it, while it is worked on. */
  end: Alarm | undefined
  /** The rest of the work while the server is frozen, in milliseconds. */
  rest: number
}

export class SimulationServer {
  readonly name: string
  readonly #clock: SimulationClock
  readonly #chance: () => number
  readonly #usual: Times.Times
  readonly #atOnce: number
  /** The line, a set because calls leave it from the middle. */
  readonly #waiting = new Set<Job>()
  readonly #working = new Set<Job>()
  /** The faults it has now. */
  readonly #faults = new Set<Fault>()
  #work: Times.Times
  #frozen = false

  constructor(name: string, server: Server, clock: SimulationClock, chance: () => number) {
    this.name = name
    this.#clock = clock
    this.#chance = chance
    this.#usual = Times.from(server.takes)
    this.#work = this.#usual
    this.#atOnce = server.atOnce ?? Infinity
    for (const fault of server.faults ?? []) {
      clock.at(fault.from, () => this.#change(() => this.#faults.add(fault)))
      if (fault.to !== Infinity) clock.at(fault.to, () => this.#change(() => this.#faults.delete(fault)))
    }
  }

  /** Told when the server goes down or comes back. */
  onReachable: (reachable: boolean) => void = () => {}
  reachable = true

  /** Takes a call, and never ends it before it has returned. */
  accept(ended: (code: Code | undefined) => void): Job {
    const job: Job = { ended, end: undefined, rest: 0 }
    const failing = this.#frozen ? undefined : this.#failure()
    if (failing === undefined) {
      this.#waiting.add(job)
      this.#next()
    } else {
      job.end = this.#clock.after(failing.takes(this.#chance), () => ended(failing.code))
    }
    return job
  }

  /** Takes a call away that nobody waits for any more. */
  leave(job: Job): void {
    job.end?.cancel()
    this.#waiting.delete(job)
    if (this.#working.delete(job)) this.#next()
  }

  #failure() {
    for (const fault of this.#faults) if (fault._tag === "Failing" && this.#chance() < fault.share) return fault
    return undefined
  }

  #next(): void {
    for (const job of this.#waiting) {
      if (this.#frozen || this.#working.size >= this.#atOnce) return
      this.#waiting.delete(job)
      this.#working.add(job)
      this.#goOn(job, this.#work(this.#chance))
    }
  }

  #goOn(job: Job, millis: number): void {
    job.end = this.#clock.after(millis, () => {
      this.#working.delete(job)
      job.ended(undefined)
      this.#next()
    })
  }

  #change(change: () => void): void {
    change()
    const faults = [...this.#faults]
    this.#work = faults.reduce((work, fault) => (fault._tag === "Slow" ? fault.work(work) : work), this.#usual)
    this.#freeze(faults.some(({ _tag }) => _tag === "Frozen"))
    const reachable = !faults.some(({ _tag }) => _tag === "Down")
    if (reachable === this.reachable) return
    this.reachable = reachable
    this.onReachable(reachable)
  }

  #freeze(frozen: boolean): void {
    if (frozen === this.#frozen) return
    this.#frozen = frozen
    for (const job of this.#working) {
      if (!frozen) {
        this.#goOn(job, job.rest)
      } else if (job.end !== undefined) {
        job.rest = job.end.at - this.#clock.now
        job.end.cancel()
      }
    }
    this.#next()
  }
}
