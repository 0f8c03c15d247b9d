/**
 * The circuit breaker of one peer: closed while the peer works, open for a time after it failed too much, then waiting
 * for the end of one call.
 *
 * It is a machine that is told events and the time, and whose one random number is handed to it, so every history can be
 * replayed. It keeps counting allocation out of the way of calls: only a change of phase makes an object.
 */
import type { Outcome } from "../status/Outcome.ts"
import * as HealthVerdict from "./HealthVerdict.ts"

/** What one peer's failures come to; its memory is of that peer alone. */
export interface Counter {
  /** An attempt has ended. Says why the peer has failed too much, if it has. */
  readonly count: (outcome: Outcome, now: number) => string | undefined
  readonly reset: () => void
}

/** How long a breaker stays open, in milliseconds: a random time in the upper half of an envelope that doubles. */
export interface Delays {
  readonly first: number
  readonly max: number
}

/** The delay after so many failed tries in a row, for a chance in [0, 1). */
export const delay = ({ first, max }: Delays, failedProbes: number, chance: number): number => {
  const half = Math.min(first * 2 ** failedProbes, max / 2)
  return half + chance * half
}

export class Breaker {
  phase: "closed" | "open" | "probing" = "closed"
  /** What it says of its peer; `undefined` while it is closed. */
  verdict: HealthVerdict.HealthVerdict | undefined = undefined
  /** When this phase began. */
  since = 0
  /** When an open breaker lets a call through. */
  until = Infinity
  /** Why it opened last. */
  cause = ""
  readonly #counter: Counter
  readonly #delays: Delays
  #failedProbes = 0

  constructor(counter: Counter, delays: Delays) {
    this.#counter = counter
    this.#delays = delays
  }

  /** An attempt that started at `start` has ended. Says whether the phase changed. */
  observe(outcome: Outcome, start: number, now: number, chance: () => number): boolean {
    if (this.phase === "open") return false
    if (this.phase === "closed") {
      const cause = this.#counter.count(outcome, now)
      if (cause === undefined) return false
      this.cause = cause
      this.#open(now, chance())
      return true
    }
    // What began before the peer was let try again is of the time that is over.
    if (start < this.since) return false
    if (outcome === "success") this.#close(now)
    else if (outcome === "ignorable") this.#probe(now)
    else {
      this.#failedProbes++
      this.#open(now, chance())
    }
    return true
  }

  /** Time has passed. */
  advance(now: number): void {
    if (this.phase === "open" && now >= this.until) this.#probe(now)
  }

  /** The peer has a new connection: what was counted on the last one, or a call that was lost with it, says nothing. */
  reconnected(now: number): void {
    if (this.phase === "closed") this.#counter.reset()
    else if (this.phase === "probing") this.#probe(now)
  }

  #open(now: number, chance: number): void {
    this.phase = "open"
    this.since = now
    this.until = now + delay(this.#delays, this.#failedProbes, chance)
    this.verdict = HealthVerdict.ejected(this.cause, this.until)
  }

  #probe(now: number): void {
    this.phase = "probing"
    this.since = now
    this.until = Infinity
    this.verdict = HealthVerdict.probe(this.cause)
  }

  #close(now: number): void {
    this.phase = "closed"
    this.since = now
    this.verdict = undefined
    this.#failedProbes = 0
    this.#counter.reset()
  }
}
