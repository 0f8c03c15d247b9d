/**
 * Backends that the program itself adds and removes.
 *
 * Where something else in the program knows who is there, an operator's page or a registry nobody else has an adapter for,
 * it says what has changed, and one list tells every pool that reads it. The list is nobody's: it can be changed while no
 * pool runs, and the next one begins with what it has become.
 *
 * A change that cannot be is a mistake of the program that makes it, so it is an error that names the backend. It holds up
 * nothing else in the same update.
 */
import { Data, Effect, Result, Stream, SubscriptionRef } from "effect"
import type { Discovery } from "./Discovery.ts"
import * as Endpoint from "./Endpoint.ts"

/**
 * A backend was to be added that the list has already.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyListed extends Data.TaggedError("AlreadyListed")<{
  readonly list: string
  readonly peer: string
}> {
  override get message(): string {
    return `${JSON.stringify(this.peer)} is in the list ${JSON.stringify(this.list)} already`
  }
}

/**
 * A backend was to be removed that the list does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotListed extends Data.TaggedError("NotListed")<{
  readonly list: string
  readonly peer: string
}> {
  override get message(): string {
    return `${JSON.stringify(this.peer)} is not in the list ${JSON.stringify(this.list)}`
  }
}

/**
 * What was wrong with an update. The rest of it has been done.
 *
 * @category errors
 * @since 0.1.0
 */
export class UpdateError extends Data.TaggedError("UpdateError")<{
  readonly list: string
  /** In the order of the update; never empty. */
  readonly problems: ReadonlyArray<AlreadyListed | NotListed | Endpoint.AddressError | Endpoint.WeightError>
}> {
  override get message(): string {
    return this.problems.map(({ message }) => message).join("; ")
  }
}

/**
 * Who comes and who goes, by address as `Endpoint.parse` reads it. Removals are done first, so one that is both is
 * replaced by what is said of it now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Updates {
  readonly additions?: ReadonlyArray<string | Endpoint.Endpoint> | undefined
  readonly removals?: ReadonlyArray<string | Endpoint.Endpoint> | undefined
}

/**
 * A discovery that can be told what changes.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointList extends Discovery {
  readonly endpoints: Effect.Effect<ReadonlyArray<Endpoint.Endpoint>>
  readonly update: (updates: Updates) => Effect.Effect<void, UpdateError>
}

type Listed = ReadonlyMap<string, Endpoint.Endpoint>

/** What could not be done of an update, and the list after it. */
const updated = (
  list: string,
  before: Listed,
  { additions = [], removals = [] }: Updates
): readonly [problems: UpdateError["problems"], after: Listed] => {
  const after = new Map(before)
  const problems: Array<UpdateError["problems"][number]> = []
  for (const address of removals) {
    const endpoint = Endpoint.read(address)
    if (Result.isFailure(endpoint)) problems.push(endpoint.failure)
    else if (!after.delete(endpoint.success.id)) problems.push(new NotListed({ list, peer: endpoint.success.id }))
  }
  for (const address of additions) {
    const endpoint = Endpoint.read(address)
    if (Result.isFailure(endpoint)) problems.push(endpoint.failure)
    else if (after.has(endpoint.success.id)) problems.push(new AlreadyListed({ list, peer: endpoint.success.id }))
    else after.set(endpoint.success.id, endpoint.success)
  }
  return [problems, after]
}

/**
 * Makes a list, by the name that errors and pages call it. While it is empty calls fail, unless they wait for ready.
 *
 * @example
 * import { Effect } from "effect"
 * import { Balancer, EndpointList, RoundRobin } from "trunkline"
 *
 * const program = Effect.gen(function* () {
 *   const list = yield* EndpointList.make("greeters", ["a:50051"])
 *   const Backends = Balancer.layer({ discovery: list, picker: RoundRobin.make() })
 *   yield* list.update({ additions: ["b:50051"], removals: ["a:50051"] })
 *   return yield* Effect.flip(list.update({ removals: ["a:50051"] }))
 * })
 * Effect.runSync(program).message // => '"a:50051" is not in the list "greeters"'
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  list: string,
  addresses: ReadonlyArray<string | Endpoint.Endpoint> = []
): Effect.fn.Return<EndpointList, UpdateError> {
  const listed = yield* SubscriptionRef.make<Listed>(new Map())
  const update = (updates: Updates) =>
    SubscriptionRef.modify(listed, (before) => updated(list, before, updates)).pipe(
      Effect.flatMap((problems) => (problems.length === 0 ? Effect.void : new UpdateError({ list, problems })))
    )
  yield* update({ additions: addresses })
  return {
    target: list,
    subscribe: () => Effect.succeed(Stream.map(SubscriptionRef.changes(listed), (now) => [...now.values()])),
    endpoints: Effect.sync(() => [...SubscriptionRef.getUnsafe(listed).values()]),
    update
  }
})
