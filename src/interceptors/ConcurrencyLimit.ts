/**
 * How many calls are under way at once.
 *
 * A limit keeps a burst from becoming everybody's latency: what does not fit waits in a line of bounded length or is
 * refused, and a refusal costs nothing. A call holds its place from its start to its end; a stream until its last message
 * is read or its scope closes.
 *
 * A place is an explicit hold that can be given back any number of times and counts once, because calls end in more than
 * one way at the same time: by their own end, by the caller's interruption, by the end of their scope.
 */
import { Data, Duration, Effect } from "effect"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "../call/Call.ts"
import * as CallObserver from "../call/CallObserver.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import * as Deadline from "../call/Deadline.ts"

/**
 * How much at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Calls under way at once; at least 1. */
  readonly limit: number
  /** Calls that may wait for a place, first come first served. Default 0: what does not fit is refused at once. */
  readonly maxWaiting?: number | undefined
  /** How long a call waits, if its deadline does not end the wait earlier. Default: no limit of its own. */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * The local cause of a call that found no place.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConcurrencyLimitReached extends Data.TaggedError("ConcurrencyLimitReached")<{
  readonly limit: number
  readonly waiting: number
  readonly waitedMillis: number
}> {
  override get message(): string {
    const waited = this.waitedMillis === 0 ? "" : `; waited ${this.waitedMillis} ms`
    return `${this.limit} calls are under way and ${this.waiting} wait, which is the limit${waited}`
  }
}

/** A call's place: before it, in line, in it, or after it. */
class Place {
  state: "before" | "waiting" | "taken" | "after" = "before"
  #admitted: (() => void) | undefined

  /** Ends when the place is taken. */
  readonly admission: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.state === "taken") return resume(Effect.void)
    this.#admitted = () => resume(Effect.void)
  })

  admit(): void {
    this.state = "taken"
    this.#admitted?.()
  }
}

class Places {
  readonly limit: number
  readonly #maxWaiting: number
  #taken = 0
  readonly #line = new Set<Place>()

  constructor(limit: number, maxWaiting: number) {
    this.limit = limit
    this.#maxWaiting = maxWaiting
  }

  get waiting(): number {
    return this.#line.size
  }

  /** Takes a place or stands in line; `false` if there is no room in either. */
  enter(place: Place): boolean {
    if (this.#taken < this.limit) {
      this.#taken++
      place.admit()
    } else if (this.#line.size < this.#maxWaiting) {
      place.state = "waiting"
      this.#line.add(place)
    } else {
      return false
    }
    return true
  }

  /** Gives a place back, to the first in line if there is one, or leaves the line. */
  leave(place: Place): void {
    const { state } = place
    place.state = "after"
    if (state === "waiting") this.#line.delete(place)
    if (state !== "taken") return
    const [first] = this.#line
    if (first === undefined) {
      this.#taken--
    } else {
      this.#line.delete(first)
      first.admit()
    }
  }
}

/**
 * Makes a limit. The interceptor is the memory: wherever it is used, the same places are counted.
 *
 * @example
 * import { Effect, Layer } from "effect"
 * import { ConcurrencyLimit, Interceptor } from "trunkline"
 *
 * const Limited = Layer.unwrap(
 *   Effect.map(ConcurrencyLimit.make({ limit: 100, maxWaiting: 1000, maxWait: "1 second" }), (limit) =>
 *     Interceptor.layer(limit)
 *   )
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<Interceptor> =>
  Effect.sync(() => {
    const places = new Places(Math.max(1, Math.floor(options.limit)), options.maxWaiting ?? 0)
    const maxWait = options.maxWait === undefined ? undefined : Duration.fromInputUnsafe(options.maxWait)

    const refuse = (waitedMillis: number) =>
      Effect.suspend(() => {
        const cause = new ConcurrencyLimitReached({ limit: places.limit, waiting: places.waiting, waitedMillis })
        return Effect.fail(RpcError.make("RESOURCE_EXHAUSTED", cause.message, { cause }))
      })

    const admission = (place: Place, call: Call) =>
      Deadline.within(
        maxWait === undefined
          ? place.admission
          : Effect.timeoutOrElse(place.admission, {
              duration: maxWait,
              orElse: () => refuse(Duration.toMillis(maxWait))
            }),
        call,
        `one of ${places.limit} places`
      )

    /** Runs the rest of a call in its place. Whoever enters has promised to leave before. */
    const within = <A, R>(place: Place, call: Call, rest: () => Effect.Effect<A, RpcError.RpcError, R>) =>
      Effect.suspend(() => {
        if (!places.enter(place)) return refuse(0)
        return place.state === "taken" ? rest() : Effect.andThen(admission(place, call), Effect.suspend(rest))
      })

    return {
      unary: (next) => (method, request, call) =>
        Effect.suspend(() => {
          const place = new Place()
          return Effect.onExitPrimitive(
            within(place, call, () => next(method, request, call)),
            () => {
              places.leave(place)
              return undefined
            }
          )
        }),
      stream: (next) => (method, requests, call) =>
        Effect.suspend(() => {
          const place = new Place()
          const leave = Effect.sync(() => places.leave(place))
          return CallObserver.onStreamEnd(
            within(place, call, () => next(method, requests, call)),
            () => leave
          )
        })
    }
  })
