/**
 * Transparent retries: attempts that are repeated at no cost.
 *
 * An attempt that no handler can have seen is repeated at once, without the policy and the budget, and is not counted. A
 * refused attempt is repeated once, because a server that refuses again means it. An attempt that never left this process,
 * or that crossed a GOAWAY of its connection, is repeated up to `maxRaces` times: servers that restart together send GOAWAY
 * on every connection at once, and a call may cross several of them; more in a row are not a race.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import type { Call } from "../call/Call.ts"
import type { RpcError } from "../status/RpcError.ts"

/** How many attempts of one call may be repeated because they lost a race with their connection. */
export const maxRaces = 100

/** The transparent retries of one call. */
export class TransparentRetries {
  #refused = false
  #races = 0

  /** Whether the attempt that ended with this error is repeated. A call that found no peer has no other to go to. */
  allows(error: RpcError, { connectionClosing }: Call): boolean {
    if (error.peer === undefined || error.code !== "UNAVAILABLE") return false
    if (error.progress === "not_started" || (error.progress === "refused" && connectionClosing))
      return ++this.#races <= maxRaces
    if (error.progress !== "refused" || this.#refused) return false
    this.#refused = true
    return true
  }
}
