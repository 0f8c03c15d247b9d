/**
 * The target that each key is bound to.
 *
 * The first call of a key binds it to a target, its home. While its home is not ready, the calls of the key go to one other
 * target, always the same, and return when the home is ready. Idle keys are removed, unless they are held.
 */
import * as MinMax from "../telemetry/MinMax.ts"

/** A target of keys: a peer or a channel. */
export interface AffinityTarget {
  readonly isReady: boolean
  /** The number of bound keys, which the table maintains. */
  keys: number
}

interface Entry<T> {
  home: T
  /** The target while the home is not ready. */
  fallback: T | undefined
  usedAt: number
  /** Whether the next call binds the key to another target. */
  rebinds: boolean
}

/** Keys and their targets. */
export class AffinityTable<T extends AffinityTarget> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #fallsBack: boolean
  /** Calls that went to another target because their home was not ready, and calls that found none. */
  fallbacks = 0
  failedFallbacks = 0
  /** The bounds of the keys per target. */
  readonly keysPerTarget: MinMax.Extremes = MinMax.make()

  /** With `fallsBack`, the default, calls use another target while their home is not ready. */
  constructor(options?: { readonly fallsBack: boolean }) {
    this.#fallsBack = options?.fallsBack ?? true
  }

  get size(): number {
    return this.#entries.size
  }

  /** The home of a key. */
  home(key: string): T | undefined {
    return this.#entries.get(key)?.home
  }

  /** Binds a key to a target, and unbinds it from its previous home. */
  bind(key: string, home: T, now: number): void {
    const entry = this.#entries.get(key)
    if (entry?.home === home) {
      entry.usedAt = now
      entry.rebinds = false
      return
    }
    if (entry !== undefined) this.#leave(entry.home)
    home.keys++
    this.keysPerTarget.see(home.keys)
    this.#entries.set(key, { home, fallback: undefined, usedAt: now, rebinds: false })
  }

  unbind(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#leave(entry.home)
    this.#entries.delete(key)
  }

  #leave(home: T): void {
    home.keys--
    this.keysPerTarget.see(home.keys)
  }

  /** Lets the next call of a key bind it to another target, if one is ready then. */
  move(key: string): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) entry.rebinds = true
  }

  /**
   * The target of a call: the home of its key, or the fallback while the home is not ready. An unknown key is bound to the
   * target that `choose` returns; `choose` may be given a target to exclude.
   */
  resolve(key: string, now: number, choose: (except: T | undefined) => T | undefined): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const home = choose(undefined)
      if (home !== undefined) this.bind(key, home, now)
      return home
    }
    if (entry.rebinds) {
      const home = choose(entry.home)
      if (home !== undefined && home !== entry.home) {
        this.bind(key, home, now)
        return home
      }
    }
    entry.usedAt = now
    if (entry.home.isReady) {
      entry.fallback = undefined
      return entry.home
    }
    if (!this.#fallsBack) return undefined
    if (entry.fallback?.isReady !== true) entry.fallback = choose(entry.home) ?? entry.fallback
    if (entry.fallback?.isReady === true) {
      this.fallbacks++
      return entry.fallback
    }
    this.failedFallbacks++
    return undefined
  }

  /** Unbinds the keys of a target that is being removed, except keys that are held. */
  release(target: T, isHeld: (key: string) => boolean): void {
    for (const [key, entry] of this.#entries) {
      if (entry.fallback === target) entry.fallback = undefined
      if (entry.home === target && !isHeld(key)) this.unbind(key)
    }
  }

  /** Unbinds keys that were last used before an instant, except keys that are held. */
  forget(before: number, isHeld: (key: string) => boolean): void {
    for (const [key, { usedAt }] of this.#entries) if (usedAt < before && !isHeld(key)) this.unbind(key)
  }
}
