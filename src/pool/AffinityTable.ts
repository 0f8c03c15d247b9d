/**
 * Which place each key is bound to.
 *
 * A key is bound to the place its first call went to and stays there. While that place, its home, cannot take calls, the key
 * goes to one other place, always the same, and comes home when it can. Keys that nobody uses are forgotten after a while,
 * unless somebody holds them.
 */

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
}

/** Keys and their places. */
export class AffinityTable<P extends Place> {
  readonly #entries = new Map<string, Entry<P>>()
  /** Calls that went to another place because their home was not ready, and that found no other. */
  fallbacks = 0
  failedFallbacks = 0

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
    if (entry?.home === home) entry.used = now
    else {
      if (entry !== undefined) entry.home.keys--
      home.keys++
      this.#entries.set(key, { home, fallback: undefined, used: now })
    }
  }

  unbind(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.home.keys--
    this.#entries.delete(key)
  }

  /** The place of a key's call: its home, or the stand-in of a home that is not ready. An unknown key is bound. */
  place(key: string, now: number, leastBusy: () => P | undefined, fallsBack: boolean): P | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const home = leastBusy()
      if (home !== undefined) this.bind(key, home, now)
      return home
    }
    entry.used = now
    if (entry.home.isReady) {
      entry.fallback = undefined
      return entry.home
    }
    if (!fallsBack) return undefined
    if (entry.fallback?.isReady !== true) entry.fallback = leastBusy() ?? entry.fallback
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
