/**
 * What a peer did in the last minute, from looking at its counts now and then.
 *
 * Counts only grow, so two looks tell what happened between them, and calls need not be told to anybody.
 */
import type { PeerReading, Recent } from "./Snapshot.ts"

/** The span that is remembered, in milliseconds. */
export const spanMillis = 60_000

type Look = Pick<PeerReading, "started" | "failed" | "answered" | "answeredMillis">

const unborn: Look = { started: 0, failed: 0, answered: 0, answeredMillis: 0 }

const meanBetween = (before: Look, after: Look): number | null => {
  const answered = after.answered - before.answered
  return answered > 0 ? (after.answeredMillis - before.answeredMillis) / answered : null
}

/** The looks at one peer. */
export class LastMinute {
  readonly #looks: Array<Look> = [unborn]
  readonly #most: number

  constructor(intervalMillis: number) {
    this.#most = Math.ceil(spanMillis / intervalMillis) + 1
  }

  /** Looks once; to be called every interval. */
  look({ answered, answeredMillis, failed, started }: PeerReading): void {
    // Another peer has come under its name.
    if (started < this.#looks.at(-1)!.started) this.#looks.splice(0, Infinity, unborn)
    this.#looks.push({ answered, answeredMillis, failed, started })
    if (this.#looks.length > this.#most) this.#looks.shift()
  }

  /** From the oldest look to the peer as it is now; its share is for whoever knows the others. */
  recent(peer: PeerReading): Omit<Recent, "share"> {
    const restarted = peer.started < this.#looks.at(-1)!.started
    const looks = restarted ? [unborn] : this.#looks
    const oldest = looks[0]!
    return {
      calls: peer.started - oldest.started,
      errors: peer.failed - oldest.failed,
      latencyMillis: meanBetween(oldest, peer),
      latencies: looks.slice(1).map((look, i) => meanBetween(looks[i]!, look))
    }
  }
}
