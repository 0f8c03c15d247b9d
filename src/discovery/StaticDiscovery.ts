/**
 * Backends that are known when the program starts.
 *
 * The list never changes, so the stream emits once; it stays open, because an ended stream of endpoints would say that
 * there is nobody left to ask.
 */
import { Effect, Result, Stream } from "effect"
import { type Discovery, DiscoveryError } from "./Discovery.ts"
import * as Endpoint from "./Endpoint.ts"

/** How many addresses a message names; a list may hold thousands. */
const named = 3

const targetOf = (names: ReadonlyArray<string>): string =>
  names.length > named ? `${names.slice(0, named).join(", ")} and ${names.length - named} more` : names.join(", ")

/**
 * A fixed list of backends, written as `Endpoint.parse` reads them. Addresses with one id are one backend: the first of
 * them. An empty list or a bad address fails the subscription.
 *
 * @example
 * import { StaticDiscovery } from "trunkline"
 *
 * StaticDiscovery.make(["10.0.0.1:50051", "10.0.0.2:50051"]).target // => "10.0.0.1:50051, 10.0.0.2:50051"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (addresses: ReadonlyArray<string | Endpoint.Endpoint>): Discovery => {
  const target = targetOf(addresses.map((address) => (typeof address === "string" ? address : address.id)))
  const fail = (problem: string, cause?: unknown) =>
    new DiscoveryError({ target, problem, ...(cause === undefined ? undefined : { cause }) })

  return {
    target,
    subscribe: Effect.fnUntraced(function* () {
      if (addresses.length === 0) return yield* fail("the list is empty")
      const endpoints = new Map<string, Endpoint.Endpoint>()
      for (const address of addresses) {
        const parsed = typeof address === "string" ? Endpoint.parse(address) : Result.succeed(address)
        if (Result.isFailure(parsed)) return yield* fail(parsed.failure.message, parsed.failure)
        const endpoint = parsed.success
        if (!endpoints.has(endpoint.id)) endpoints.set(endpoint.id, endpoint)
      }
      return Stream.concat(Stream.succeed([...endpoints.values()]), Stream.never)
    })
  }
}
