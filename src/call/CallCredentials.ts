/**
 * Credentials of a single call: a user's token, a JWT made for one audience.
 *
 * Default metadata knows the call; a token for an audience must know who it is sent to, and a secret must not leave
 * on a wire everybody can read. Both are known where the connection is, so that is where call credentials are asked, once
 * for each attempt, and refused if the connection is not secure.
 *
 * @see https://grpc.io/docs/guides/auth
 */
import { Effect, Result } from "effect"
import * as RpcError from "../status/RpcError.ts"
import * as DefaultMetadata from "./DefaultMetadata.ts"
import type { Interceptor } from "./Interceptor.ts"
import * as Metadata from "./Metadata.ts"

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
export type CallCredentials = (target: Target) => Effect.Effect<Metadata.Input, unknown>

/**
 * Credentials that are one bearer token, in `authorization`.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallCredentials, CallOptions } from "trunkline"
 *
 * const asAda = CallOptions.withCredentials(CallCredentials.bearer(Effect.succeed("a token")))
 *
 * @category constructors
 * @since 0.1.0
 */
export const bearer =
  (token: Effect.Effect<string, unknown>): CallCredentials =>
  () =>
    Effect.map(token, (token) => ({ authorization: `Bearer ${token}` }))

/**
 * Attaches the credentials of calls on a connection; connectors put it in front of their invoker. What a credential gives
 * replaces what the call has of the same key.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const attach = (connection: { readonly authority: string; readonly secure: boolean }): Interceptor =>
  DefaultMetadata.update((metadata, method, call) => {
    const { credentials } = call.options
    if (credentials === undefined) return metadata
    const unauthenticated = (message: string, cause?: unknown) =>
      RpcError.make("UNAUTHENTICATED", message, { method: method.path, progress: "not_started", cause })
    if (!connection.secure) {
      return Effect.fail(unauthenticated(`call credentials are not sent to ${connection.authority} without TLS`))
    }
    return credentials({ authority: connection.authority, service: method.service, method: method.path }).pipe(
      Effect.mapError((cause) =>
        RpcError.isRpcError(cause) ? cause : unauthenticated(`no credentials for ${connection.authority}`, cause)
      ),
      Effect.flatMap((input) =>
        Effect.fromResult(Result.mapError(Metadata.make(input), ({ message }) => unauthenticated(message)))
      ),
      Effect.map((given) => Metadata.override(metadata, given))
    )
  })
