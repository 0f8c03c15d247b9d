/**
 * Who an attempt is sent to, and what proves to it who calls.
 *
 * The options of a call hold its credentials, so these types stand below the options; what credentials do is in
 * `CallCredentials`.
 */
import type { Effect } from "effect"
import type { Input } from "./Metadata.ts"

/**
 * Who an attempt is sent to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  /** The name the connection was opened for, `host:port` unless the endpoint has another. */
  readonly authority: string
  /** `package.Service`; with the authority it is the audience of a JWT, `https://authority/package.Service`. */
  readonly service: string
  /** Full method path, `/package.Service/Method`. */
  readonly method: string
}

/**
 * What proves to a target who calls. It may be asked for many calls at one time; a failure that is not an `RpcError` ends
 * the call as `UNAUTHENTICATED`.
 *
 * @category models
 * @since 0.1.0
 */
export type CallCredentials = (target: Target) => Effect.Effect<Input, unknown>
