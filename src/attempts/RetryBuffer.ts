/**
 * Sending a stream of requests again.
 *
 * A stream can be read once. A call that is declared replayable keeps its requests, as the bytes they were sent as, until the
 * server begins to answer; an attempt that fails before that is followed by one that reads what is kept first. What is kept
 * is bounded, per call and per client: beyond that the call is committed to the attempt it is on and keeps nothing.
 *
 * The source is read by fibers of the call and not of an attempt, so that no attempt takes a request with it when it ends,
 * and it is read only when an attempt wants more than is kept: back-pressure reaches it as if there were no log.
 */
import { type Cause, Context, Effect, Exit, Fiber, Layer, Pull, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { requestBytes } from "../call/MessageBytes.ts"
import type { Streaming, StreamResponse } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import { begin, type Begun } from "./StartedStream.ts"

/**
 * A stream of requests that has begun.
 *
 * @category models
 * @since 0.1.0
 */
export type { Begun } from "./StartedStream.ts"

/**
 * How many bytes of encoded requests are kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** By one call. Default 1 MiB. */
  readonly perCallBytes?: number | undefined
  /** By all calls of a client together. Default 16 MiB. */
  readonly perClientBytes?: number | undefined
}

/**
 * The limits of the clients made in this context.
 *
 * @category references
 * @since 0.1.0
 */
export const Limits = Context.Reference<Options>("trunkline/attempts/RetryBuffer", { defaultValue: () => ({}) })

/**
 * Sets the limits of the clients above this layer.
 *
 * @example
 * import { RetryBuffer } from "trunkline"
 *
 * const Small = RetryBuffer.layer({ perCallBytes: 64 * 1024 })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Limits, options)

const mebibyte = 1024 * 1024

/** What the calls of one client keep together. */
export class Meter {
  readonly perCallBytes: number
  readonly perClientBytes: number
  kept = 0

  constructor(options: Options) {
    this.perCallBytes = options.perCallBytes ?? mebibyte
    this.perClientBytes = options.perClientBytes ?? 16 * mebibyte
  }
}

type Source = Pull.Pull<readonly [unknown, ...Array<unknown>], RpcError.RpcError>
type Bytes = readonly [Uint8Array]

/** The requests of one call, read by one attempt at a time. */
class Log {
  /** No attempt can begin from the first request any more. */
  sealed = false
  #entries: Array<Uint8Array> = []
  /** The place in `#entries` the attempt has read to. */
  #cursor = 0
  #bytes = 0
  #end: Exit.Exit<never, RpcError.RpcError | Cause.Done> | undefined
  #reading: Fiber.Fiber<void> | undefined
  readonly #source: Source
  readonly #encode: (request: unknown) => Uint8Array | RpcError.RpcError
  readonly #meter: Meter
  readonly #scope: Scope.Scope

  constructor(
    source: Source,
    encode: (request: unknown) => Uint8Array | RpcError.RpcError,
    meter: Meter,
    scope: Scope.Scope
  ) {
    this.#source = source
    this.#encode = encode
    this.#meter = meter
    this.#scope = scope
  }

  /** Keeps nothing from now on but what the attempt has still to read. */
  seal(): void {
    this.sealed = true
    this.#meter.kept -= this.#bytes
    this.#bytes = 0
    this.#entries.splice(0, this.#cursor)
    this.#cursor = 0
  }

  /** The requests from the first one on. */
  get requests(): Stream.Stream<Uint8Array, RpcError.RpcError> {
    return Stream.suspend(() => {
      if (!this.sealed) this.#cursor = 0
      return Stream.fromPull(Effect.succeed(this.#pull))
    })
  }

  readonly #pull: Pull.Pull<Bytes, RpcError.RpcError> = Effect.suspend((): Pull.Pull<Bytes, RpcError.RpcError> => {
    const entry = this.sealed ? this.#entries.shift() : this.#entries[this.#cursor++]
    if (entry !== undefined) return Effect.succeed([entry])
    if (!this.sealed) this.#cursor--
    return this.#end ?? Effect.andThen(this.#read, this.#pull)
  })

  /** Reads on, or waits for whoever does. Leaving does not end the reading. */
  readonly #read: Effect.Effect<unknown> = Effect.suspend(() =>
    this.#reading !== undefined
      ? Fiber.await(this.#reading)
      : Effect.flatMap(Effect.forkIn(this.#more, this.#scope, { startImmediately: true }), (fiber) => {
          if (fiber.pollUnsafe() === undefined) this.#reading = fiber
          return Fiber.await(fiber)
        })
  )

  readonly #more: Effect.Effect<void> = Effect.suspend(() => Effect.exit(this.#source)).pipe(
    Effect.map((exit) => {
      this.#reading = undefined
      if (Exit.isSuccess(exit)) for (const request of exit.value) this.#keep(request)
      else this.#end = exit as Exit.Failure<never, RpcError.RpcError | Cause.Done>
      // The caller's own failure is the call's end, not a reason to ask again.
      if (Exit.isFailure(exit) && !Pull.isDoneCause(exit.cause)) this.seal()
    })
  )

  #keep(request: unknown): void {
    if (this.#end !== undefined) return
    const bytes = this.#encode(request)
    if (bytes instanceof RpcError.RpcError) {
      this.#end = Exit.fail(bytes)
      return this.seal()
    }
    this.#entries.push(bytes)
    if (this.sealed) return
    this.#bytes += bytes.length
    this.#meter.kept += bytes.length
    if (this.#bytes > this.#meter.perCallBytes || this.#meter.kept > this.#meter.perClientBytes) this.seal()
  }
}

const alreadyBytes = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }

/**
 * Runs a call whose requests are kept while they are sent. Its answer is there at once, and its parts when an attempt has
 * got that far: the caller may have to see it to go on with the requests.
 */
export const run = Effect.fnUntraced(function* <I, O>(
  next: Streaming,
  method: Method<I, O>,
  requests: Stream.Stream<I, RpcError.RpcError>,
  call: Call,
  meter: Meter,
  tried: (
    attempt: Effect.Effect<Begun<O>, RpcError.RpcError, Scope.Scope>,
    sealed: () => boolean
  ) => Effect.Effect<StreamResponse<O>, RpcError.RpcError, Scope.Scope>
): Effect.fn.Return<StreamResponse<O>, RpcError.RpcError, Scope.Scope> {
  const source = (yield* Stream.toPull(requests)) as Source
  const encode = (request: unknown) => requestBytes(method, request as I, call, call.peer ?? "")
  const log = new Log(source, encode, meter, yield* Effect.scope)
  yield* Effect.addFinalizer(() => Effect.sync(() => log.seal()))

  const inBytes: Method<Uint8Array, O> = { ...method, request: alreadyBytes }
  const attempt = begin(Effect.suspend(() => next(inBytes, log.requests, call)))
  const answer = Effect.tap(
    tried(attempt, () => log.sealed),
    () => Effect.sync(() => log.seal())
  )
  const fiber = yield* Effect.forkScoped(answer, { startImmediately: true })
  const response = Fiber.join(fiber)
  return {
    headers: Effect.flatMap(response, ({ headers }) => headers),
    messages: Stream.unwrap(Effect.map(response, ({ messages }) => messages)),
    trailers: Effect.flatMap(response, ({ trailers }) => trailers)
  }
})
