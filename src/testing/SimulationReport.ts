/**
 * What came of a simulation.
 *
 * A report is a look at the log over some time: the whole, a part, or one of many slices, each of which answers the same
 * questions. So a series over time is a list of reports.
 */
import { Duration } from "effect"
import * as Code from "../status/Code.ts"
import type { Log } from "./SimulationLog.ts"

/**
 * A call that has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndedCall {
  /** When it began, in milliseconds since the beginning, and how long it took. */
  readonly at: number
  readonly elapsed: number
  readonly status: Code.Status
  /** Who made it: the place of the client. */
  readonly client: number
  /** Who answered it, or failed it last; `undefined` if nobody was asked. */
  readonly server: string | undefined
}

/** The first place whose instant is not before another. */
const place = (instants: ReadonlyArray<number>, instant: number): number => {
  let low = 0
  let high = instants.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (instants[middle]! < instant) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Calls that began, and attempts that were sent, from one instant up to another.
 *
 * @category models
 * @since 0.1.0
 */
export class Report {
  /** Milliseconds since the beginning. */
  readonly from: number
  readonly to: number
  readonly #log: Log
  readonly #first: number
  readonly #end: number
  #latencies: Float64Array | undefined

  constructor(log: Log, from: number, to: number) {
    this.#log = log
    this.from = from
    this.to = to
    this.#first = place(log.callAt, from)
    this.#end = place(log.callAt, to)
  }

  /** The names of the servers, in the order they were given. */
  get servers(): ReadonlyArray<string> {
    return this.#log.servers
  }

  /** Calls that began. */
  get calls(): number {
    return this.#end - this.#first
  }

  /** Calls that were answered well. */
  get succeeded(): number {
    return this.#sorted().length
  }

  /** Calls that ended with each code. */
  get errors(): ReadonlyMap<Code.Code, number> {
    const counts = new Map<Code.Code, number>()
    for (const { status } of this.log()) if (status !== "OK") counts.set(status, (counts.get(status) ?? 0) + 1)
    return counts
  }

  /** Calls that had not ended when the simulation did. */
  get unfinished(): number {
    let count = 0
    for (let i = this.#first; i < this.#end; i++) if (Number.isNaN(this.#log.callEnd[i])) count++
    return count
  }

  /** The part of all calls that were answered well, from 0 to 1. */
  get successRate(): number {
    return this.succeeded / this.calls
  }

  /** How long the calls took that were answered well, on average, in milliseconds. */
  get mean(): number {
    const latencies = this.#sorted()
    let sum = 0
    for (const latency of latencies) sum += latency
    return sum / latencies.length
  }

  /**
   * In how many milliseconds this part of all calls, from 0 to 1, was answered well; `Infinity` if so many never were. A
   * failure that comes soon is not a low latency.
   */
  percentile(part: number): number {
    return this.#sorted()[Math.max(0, Math.ceil(part * this.calls) - 1)] ?? Infinity
  }

  /** The part of all calls, from 0 to 1, that were answered well within so many milliseconds. */
  within(millis: number): number {
    const latencies = this.#sorted()
    let low = 0
    let high = latencies.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (latencies[middle]! <= millis) low = middle + 1
      else high = middle
    }
    return low / this.calls
  }

  /** Attempts that were sent to servers, all or one of them: retries and hedges are attempts too. */
  attempts(server?: string): number {
    const { attemptAt, attemptServer, servers } = this.#log
    const first = place(attemptAt, this.from)
    const end = place(attemptAt, this.to)
    if (server === undefined) return end - first
    const index = servers.indexOf(server)
    let count = 0
    for (let i = first; i < end; i++) if (attemptServer[i] === index) count++
    return count
  }

  /** The part of all attempts that a server got, from 0 to 1. */
  share(server: string): number {
    return this.attempts(server) / this.attempts()
  }

  /** What began from one time of the simulation up to another; the end is left out. */
  between(from: Duration.Input, to: Duration.Input): Report {
    return new Report(this.#log, Duration.toMillis(from), Duration.toMillis(to))
  }

  /** The same in slices. A last one that would be shorter is left out. */
  every(width: Duration.Input): ReadonlyArray<Report> {
    const millis = Duration.toMillis(width)
    const slices = Math.floor((this.to - this.from) / millis)
    return Array.from({ length: slices }, (_, i) => {
      const from = this.from + i * millis
      return new Report(this.#log, from, from + millis)
    })
  }

  /** Each call that has ended, in the order in which they began. */
  *log(): IterableIterator<EndedCall> {
    const { callAt, callClient, callEnd, callServer, callStatus, servers } = this.#log
    for (let i = this.#first; i < this.#end; i++) {
      const at = callAt[i]!
      const end = callEnd[i]!
      if (Number.isNaN(end)) continue
      const status = Code.fromNumber(callStatus[i]!)
      yield { at, elapsed: end - at, status, client: callClient[i]!, server: servers[callServer[i]!] }
    }
  }

  /** The latencies of the calls that were answered well, in order. */
  #sorted(): Float64Array {
    if (this.#latencies !== undefined) return this.#latencies
    const { callAt, callEnd, callStatus } = this.#log
    const latencies = new Float64Array(this.calls)
    let count = 0
    for (let i = this.#first; i < this.#end; i++) {
      if (callStatus[i] === 0) latencies[count++] = callEnd[i]! - callAt[i]!
    }
    return (this.#latencies = latencies.subarray(0, count).sort())
  }
}
