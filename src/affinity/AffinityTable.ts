/**
 * Which place each key is bound to.
 *
 * A key is bound to the place its first call went to and stays there. While that place, its home, cannot take calls, the key
 * goes to one other place, always the same, and comes home when it can. Keys that nobody uses are forgotten after a while,
 * unless somebody holds them.
 */
import * as MinMax from "../telemetry/MinMax.ts"

/** Somewhere calls can be sent. */
export interface Place {
  readonly isReady: boolean
  /** Bound keys, counted here. */
  keys: number
}

interface Entry<P> {
  home: P
  /** Where it goes while its home is not ready. */
  fallback: P | undefined
  used: number
  /** Whether its next call looks for another home. */
  moving: boolean
}

/** Keys and their places. */
export class AffinityTable<P extends Place> {
  readonly #entries = new Map<string, Entry<P>>()
  /** Calls that went to another place because their home was not ready, and that found no other. */
  fallbacks = 0
  failedFallbacks = 0
  /** How many keys a place has had. */
  readonly keysOfPlace: MinMax.Extremes = MinMax.make()

  get size(): number {
    return this.#entries.size
  }

  /** Where a key is at home. */
  home(key: string): P | undefined {
    return this.#entries.get(key)?.home
  }

  /** Binds a key, from wherever it was before. */
  bind(key: string, home: P, now: number): void {
    const entry = this.#entries.get(key)
    if (entry?.home === home) {
      entry.used = now
      entry.moving = false
      return
    }
    if (entry !== undefined) this.#leave(entry.home)
    home.keys++
    this.keysOfPlace.see(home.keys)
    this.#entries.set(key, { home, fallback: undefined, used: now, moving: false })
  }

  unbind(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#leave(entry.home)
    this.#entries.delete(key)
  }

  #leave(home: P): void {
    home.keys--
    this.keysOfPlace.see(home.keys)
  }

  /** The next call of a key binds it to another place than its home, if there is one then. */
  move(key: string): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) entry.moving = true
  }

  /**
   * The place of a key's call: its home, or the stand-in of a home that is not ready. An unknown key is bound to what
   * `choose` returns, which is asked for any place, or for any but one.
   */
  place(key: string, now: number, choose: (except: P | undefined) => P | undefined, fallsBack: boolean): P | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const home = choose(undefined)
      if (home !== undefined) this.bind(key, home, now)
      return home
    }
    if (entry.moving) {
      const home = choose(entry.home)
      if (home !== undefined && home !== entry.home) {
        this.bind(key, home, now)
        return home
      }
    }
    entry.used = now
    if (entry.home.isReady) {
      entry.fallback = undefined
      return entry.home
    }
    if (!fallsBack) return undefined
    if (entry.fallback?.isReady !== true) entry.fallback = choose(entry.home) ?? entry.fallback
    if (entry.fallback?.isReady === true) {
      this.fallbacks++
      return entry.fallback
    }
    this.failedFallbacks++
    return undefined
  }

  /** Keys of a place that is going away are free to be bound again, except those that are held. */
  release(place: P, isHeld: (key: string) => boolean): void {
    for (const [key, entry] of this.#entries) {
      if (entry.fallback === place) entry.fallback = undefined
      if (entry.home === place && !isHeld(key)) this.unbind(key)
    }
  }

  /** Forgets keys not used since then, except those that are held. */
  forget(before: number, isHeld: (key: string) => boolean): void {
    for (const [key, { used }] of this.#entries) if (used < before && !isHeld(key)) this.unbind(key)
  }
}
