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
import type { CallCredentials } from "./CallTarget.ts"
import * as RpcError from "../status/RpcError.ts"
import * as DefaultMetadata from "./DefaultMetadata.ts"
import type { Interceptor } from "./Interceptor.ts"
import * as Metadata from "./Metadata.ts"

/**
 * Who an attempt is sent to, and what proves to it who calls.
 *
 * @category models
 * @since 0.1.0
 */
export type { CallCredentials, Target } from "./CallTarget.ts"

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
