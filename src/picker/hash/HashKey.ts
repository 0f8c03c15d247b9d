/**
 * What a call is placed by.
 *
 * Pickers by key see the call, not its request. So a key comes from what the call carries: an option its caller gave, or a
 * request header. A field of the request gets there by an interceptor, which sees requests and gives the option.
 */
import { Effect, Pull, Stream } from "effect"
import type { Call } from "../../call/Call.ts"
import type { Interceptor } from "../../call/Interceptor.ts"
import type { Key } from "./Hash64.ts"

/**
 * Reads the key of a call; `undefined` if it has none, and then it may go anywhere.
 *
 * @category models
 * @since 0.1.0
 */
export type HashKey = (call: Call) => Key | undefined

/**
 * The key given with `CallOptions.withHashKey`.
 *
 * @category keys
 * @since 0.1.0
 */
export const option: HashKey = (call) => call.options.hashKey

/**
 * The value of a request header; several values are one key, joined by commas.
 *
 * @see https://github.com/grpc/proposal/blob/master/A76-ring-hash-improvements.md
 * @category keys
 * @since 0.1.0
 */
export const header = (name: string): HashKey => {
  const key = name.toLowerCase()
  return (call) => {
    const values = call.options.metadata.get(key)
    if (values === undefined || values.length === 0) return undefined
    return values.length === 1 ? values[0] : values.join(",")
  }
}

/**
 * The first of some keys that a call has.
 *
 * @category combinators
 * @since 0.1.0
 */
export const firstOf =
  (...keys: ReadonlyArray<HashKey>): HashKey =>
  (call) => {
    for (const key of keys) {
      const found = key(call)
      if (found !== undefined) return found
    }
    return undefined
  }

/** A field's value as a key. Text and bytes that are empty are a field nobody set. */
const toKey = (value: unknown): Key | undefined => {
  if (typeof value === "string") return value === "" ? undefined : value
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : value
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined
}

const valueAt = (message: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, name) => (value as Record<string, unknown> | null | undefined)?.[name], message)

/**
 * Gives calls a key out of their request: the path of a field as the message spells it in TypeScript, such as `user.id`.
 * A key the caller gave stays. It is for methods with one request; a call that streams requests has a peer before its
 * first one.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, HashKey, Interceptor, RingHash, StaticDiscovery } from "trunkline"
 *
 * // Under the clients of this service, every user has a backend.
 * const Keyed = Interceptor.layer(HashKey.field("user.id"))
 * const Backends = Balancer.layer({
 *   discovery: StaticDiscovery.make(["a:50051", "b:50051"]),
 *   picker: RingHash.make()
 * })
 *
 * @category interceptors
 * @since 0.1.0
 */
export const field = (path: string): Interceptor => {
  const names = path.split(".")
  const give = (call: Call, message: unknown): void => {
    if (call.options.hashKey !== undefined) return
    const hashKey = toKey(valueAt(message, names))
    if (hashKey !== undefined) call.options = { ...call.options, hashKey }
  }
  return {
    unary: (next) => (method, request, call) =>
      Effect.suspend(() => {
        give(call, request)
        return next(method, request, call)
      }),
    stream: (next) => (method, requests, call) =>
      method.kind !== "server_streaming"
        ? next(method, requests, call)
        : Effect.gen(function* () {
            const pull = yield* Stream.toPull(requests)
            const first = yield* Pull.catchDone(pull, () => Effect.succeed(undefined))
            if (first === undefined) return yield* next(method, Stream.empty, call)
            give(call, first[0])
            // The rest of the requests is still to be read; a server stream has none.
            const all = Stream.concat(Stream.fromArray(first), Stream.fromPull(Effect.succeed(pull)))
            return yield* next(method, all, call)
          })
  }
}
