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
 * A fixed list of backends, written as `Endpoint.parse` reads them. Addresses with one id are one backend, as
 * `Endpoint.merge` makes it. An empty list, a bad address or a bad weight fails the subscription.
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
      const endpoints: Array<Endpoint.Endpoint> = []
      for (const address of addresses) {
        const parsed = Endpoint.read(address)
        if (Result.isFailure(parsed)) return yield* fail(parsed.failure.message, parsed.failure)
        endpoints.push(parsed.success)
      }
      return Stream.concat(Stream.succeed(Endpoint.merge(endpoints).endpoints), Stream.never)
    })
  }
}
