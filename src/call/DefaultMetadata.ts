/**
 * Metadata that calls have without saying so: a tenant, a token.
 *
 * Values are written once, where a client or a pool is made, and may be Effects that run for each call. What is nearer to
 * the call wins: a key the call gives is never replaced, and its default is not even fetched. Among defaults the outer
 * interceptor is the nearer one, so the order is call, then client, then pool; in one list, the first.
 *
 * In front of a client (`Interceptor.layer`) a default is found once per call and all attempts carry it. In front of a
 * pool (`Transport.intercept`), which is inside of the retries, it is found anew for each attempt.
 */
import { type Context, type Duration, Effect, Exit, Result } from "effect"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "./Call.ts"
import type { Interceptor } from "./Interceptor.ts"
import * as Metadata from "./Metadata.ts"
import * as MetadataKey from "./MetadataKey.ts"
import type * as Method from "./Method.ts"
import * as Deadline from "./Deadline.ts"

type OneOrMany = Metadata.Value | ReadonlyArray<Metadata.Value>

/**
 * Default values by key. An Effect runs for each call that does not give the key itself; it fails the call with its own
 * `RpcError`, and with `UNAUTHENTICATED` if it fails with anything else.
 *
 * @category models
 * @since 0.1.0
 */
export type Values = Readonly<Record<string, OneOrMany | Effect.Effect<OneOrMany, unknown>>>

/**
 * Runs the rest of a call with other metadata. The call itself stays the same object, because what lies further in writes
 * to it, and it has its own metadata back when the rest has ended, because a retry from further out starts from that.
 */
const replace = (call: Call, metadata: Metadata.Metadata): (() => undefined) => {
  const { options } = call
  call.options = { ...options, metadata }
  return () => {
    call.options = options
    return undefined
  }
}

/**
 * Gives each call the metadata a function makes of the call's own.
 *
 * @example
 * import { DefaultMetadata } from "trunkline"
 * import { ApiHeaders } from "trunkline/google"
 *
 * const identified = DefaultMetadata.update(ApiHeaders.apiClient({ "gl-node": "20.1.0", gapic: "2.0.0" }))
 *
 * @category interceptors
 * @since 0.1.0
 */
export const update = (
  change: (
    metadata: Metadata.Metadata,
    method: Method.Any,
    call: Call
  ) => Metadata.Metadata | Effect.Effect<Metadata.Metadata, RpcError.RpcError>
): Interceptor => {
  const changed = <A, R>(
    method: Method.Any,
    call: Call,
    rest: (metadata: Metadata.Metadata) => Effect.Effect<A, RpcError.RpcError, R>
  ): Effect.Effect<A, RpcError.RpcError, R> =>
    Effect.suspend(() => {
      const metadata = change(call.options.metadata, method, call)
      return Effect.isEffect(metadata)
        ? Effect.flatMap(Deadline.within(metadata, call, "metadata"), rest)
        : rest(metadata)
    })
  return {
    unary: (next) => (method, request, call) =>
      changed(method, call, (metadata) => {
        if (metadata === call.options.metadata) return next(method, request, call)
        const restore = replace(call, metadata)
        return Effect.onExitPrimitive(next(method, request, call), restore)
      }),
    stream: (next) => (method, requests, call) =>
      changed(method, call, (metadata) => {
        if (metadata === call.options.metadata) return next(method, requests, call)
        const restore = replace(call, metadata)
        return Effect.andThen(
          Effect.addFinalizer(() => Effect.sync(restore)),
          next(method, requests, call)
        )
      })
  }
}

interface Fetched {
  readonly key: string
  readonly fetch: Effect.Effect<Metadata.Metadata, RpcError.RpcError>
}

const fetched = (
  key: string,
  fetch: Effect.Effect<Result.Result<Metadata.Metadata, Metadata.MetadataError>, unknown>
): Fetched => ({
  key,
  fetch: fetch.pipe(
    Effect.mapError((cause) =>
      RpcError.isRpcError(cause)
        ? cause
        : RpcError.make("UNAUTHENTICATED", `no value for metadata key ${JSON.stringify(key)}`, { cause })
    ),
    Effect.flatMap((made) =>
      Effect.fromResult(Result.mapError(made, (cause) => RpcError.make("INTERNAL", cause.message, { cause })))
    )
  )
})

const defaults = (fixed: Metadata.Metadata, fetches: ReadonlyArray<Fetched>): Interceptor =>
  update((given) => {
    const missing = fetches.filter(({ key }) => !given.has(key))
    if (missing.length === 0) return Metadata.override(fixed, given)
    return Effect.map(
      Effect.forEach(missing, ({ fetch }) => fetch, { concurrency: missing.length }),
      (found) =>
        Metadata.override(
          found.reduce((all, one) => Metadata.override(all, one), fixed),
          given
        )
    )
  })

/**
 * Gives calls the values they do not give themselves. A key, and a value that is there already, is checked here and throws
 * `MetadataError`; a fetched value that the protocol does not allow fails its call with `INTERNAL`.
 *
 * @example
 * import { Effect } from "effect"
 * import { DefaultMetadata, Interceptor } from "trunkline"
 *
 * const fetchToken = Effect.succeed("a token")
 * const WithDefaults = Interceptor.layer(
 *   DefaultMetadata.make({
 *     "x-tenant": "acme",
 *     authorization: Effect.map(fetchToken, (token) => `Bearer ${token}`)
 *   })
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = (values: Values): Interceptor => {
  const fixed: Array<readonly [string, OneOrMany]> = []
  const fetches: Array<Fetched> = []
  for (const [name, value] of Object.entries(values)) {
    if (Effect.isEffect(value)) {
      const key = MetadataKey.nameOf(name)
      fetches.push(
        fetched(
          key,
          Effect.map(value, (value) => Metadata.make({ [key]: value }))
        )
      )
    } else {
      fixed.push([name, value])
    }
  }
  return defaults(Metadata.makeUnsafe(Object.fromEntries(fixed)), fetches)
}

/**
 * Gives calls the value of a typed key that they do not give themselves. What `make` says of values holds here too.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const ofKey = <A>(
  key: MetadataKey.MetadataKey<A, unknown>,
  value: A | Effect.Effect<A, unknown>
): Interceptor =>
  Effect.isEffect(value)
    ? defaults(Metadata.empty, [
        fetched(
          key.name,
          Effect.map(value as Effect.Effect<A, unknown>, (value) =>
            Result.map(key.encode(value), (value) => new Map([[key.name, [value]]]))
          )
        )
      ])
    : defaults(Metadata.of(key, value), [])

/**
 * A value that is fetched once and kept for its time to live. Calls that need it meanwhile share the fetch, which goes on
 * for as long as one of them waits. A failure reaches the calls that waited and is not kept: the next call fetches again.
 *
 * The fetch runs in the context this is made in. A call that happens to be first lends it neither its deadline nor its
 * metadata. Give a token less time than it lives by what a call takes to arrive, and the fetch a timeout of its own.
 *
 * @example
 * import { Effect, Layer } from "effect"
 * import { DefaultMetadata, Interceptor } from "trunkline"
 *
 * const fetchToken = Effect.succeed({ token: "a token", expiresInSeconds: 3600 })
 * const Authorized = Layer.unwrap(
 *   Effect.gen(function*() {
 *     const token = yield* DefaultMetadata.cached(fetchToken, {
 *       timeToLive: ({ expiresInSeconds }) => `${expiresInSeconds - 60} seconds`
 *     })
 *     return Interceptor.layer(
 *       DefaultMetadata.make({ authorization: Effect.map(token, ({ token }) => `Bearer ${token}`) })
 *     )
 *   })
 * )
 *
 * @category tokens
 * @since 0.1.0
 */
export const cached = <A, E, R>(
  fetch: Effect.Effect<A, E, R>,
  options: { readonly timeToLive: Duration.Input | ((value: A) => Duration.Input) }
): Effect.Effect<Effect.Effect<A, E>, never, R> => {
  const { timeToLive } = options
  return Effect.contextWith((context: Context.Context<R>) =>
    Effect.cachedWithTTL(
      Effect.updateContext(fetch, (): Context.Context<R> => context),
      (exit: Exit.Exit<A, E>): Duration.Input =>
        Exit.isFailure(exit) ? 0 : typeof timeToLive === "function" ? timeToLive(exit.value) : timeToLive
    )
  )
}
