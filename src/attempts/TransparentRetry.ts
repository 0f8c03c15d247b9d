/**
 * Which attempts are made again at no cost.
 *
 * An attempt that no handler can have seen is no attempt: it is made again at once, without asking the policy or the
 * budget, and is not counted. A refusal is forgiven once, because a server that refuses again means it. What never left
 * this process, and what met the goodbye of its connection on the way, is forgiven up to a guard, because so many in a row
 * are no race: servers that restart together say goodbye on every connection at once, and a call may meet each of them.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import type { Call } from "../call/Call.ts"
import type { RpcError } from "../status/RpcError.ts"

/** Attempts in one call that may end before they left or arrived. */
export const guard = 100

/** The free tries of one call. */
export class FreeTries {
  #refused = false
  #freeAttempts = 0

  /** Whether the attempt that ended so is made again for nothing. A call that had no peer has nobody else to turn to. */
  allows(error: RpcError, { connectionClosing }: Call): boolean {
    if (error.peer === undefined || error.code !== "UNAVAILABLE") return false
    if (error.progress === "not_started" || (error.progress === "refused" && connectionClosing))
      return ++this.#freeAttempts <= guard
    if (error.progress !== "refused" || this.#refused) return false
    this.#refused = true
    return true
  }
}
