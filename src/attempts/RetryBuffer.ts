/**
 * Retrying a call whose requests are a stream.
 *
 * A stream can be read once. A call that is declared replayable buffers its encoded requests until the server begins to
 * answer; the next attempt reads the buffer first. The buffer is bounded per call and per client: beyond the bound the call
 * is committed to its current attempt and buffers no more.
 *
 * Fibers of the call, not of an attempt, read the source, so that no request is lost when an attempt ends. They read it only
 * when an attempt needs more than the buffer holds, so back-pressure reaches the source as if there were no buffer.
 */
import { type Cause, Config, Context, Effect, Exit, Fiber, Layer, Pull, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { requestBytes } from "../call/MessageBytes.ts"
import type { Streaming, StreamResponse } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import { startAndAwaitHeaders, type StartedStream } from "./StartedStream.ts"

/**
 * An attempt of a streaming call that has started.
 *
 * @category models
 * @since 0.1.0
 */
export type { StartedStream } from "./StartedStream.ts"

/**
 * How many bytes of encoded requests are buffered.
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

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

const mebibyte = 1024 * 1024

/** How many bytes the calls of one client buffer together. */
export class Usage {
  readonly perCallBytes: number
  readonly perClientBytes: number
  bytes = 0

  constructor(options: Options) {
    this.perCallBytes = options.perCallBytes ?? mebibyte
    this.perClientBytes = options.perClientBytes ?? 16 * mebibyte
  }
}

type Source = Pull.Pull<readonly [unknown, ...Array<unknown>], RpcError.RpcError>
type Bytes = readonly [Uint8Array]

/** The requests of one call, read by one attempt at a time. */
class RequestBuffer {
  /** Whether no further attempt can begin from the first request. */
  sealed = false
  #entries: Array<Uint8Array> = []
  /** How many of `#entries` the current attempt has read. */
  #cursor = 0
  #bytes = 0
  #end: Exit.Exit<never, RpcError.RpcError | Cause.Done> | undefined
  #reading: Fiber.Fiber<void> | undefined
  readonly #source: Source
  readonly #encode: (request: unknown) => Uint8Array | RpcError.RpcError
  readonly #usage: Usage
  readonly #scope: Scope.Scope

  constructor(
    source: Source,
    encode: (request: unknown) => Uint8Array | RpcError.RpcError,
    { scope, usage }: { readonly usage: Usage; readonly scope: Scope.Scope }
  ) {
    this.#source = source
    this.#encode = encode
    this.#usage = usage
    this.#scope = scope
  }

  /** Stops buffering. Only what the current attempt has yet to read stays. */
  seal(): void {
    this.sealed = true
    this.#usage.bytes -= this.#bytes
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

  /** Reads more of the source, or waits for the read under way. Interrupting the wait does not end the read. */
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
      if (Exit.isSuccess(exit)) for (const request of exit.value) this.#append(request)
      else this.#end = exit as Exit.Failure<never, RpcError.RpcError | Cause.Done>
      // A failure of the caller's stream ends the call and is not retried.
      if (Exit.isFailure(exit) && !Pull.isDoneCause(exit.cause)) this.seal()
    })
  )

  #append(request: unknown): void {
    if (this.#end !== undefined) return
    const bytes = this.#encode(request)
    if (bytes instanceof RpcError.RpcError) {
      this.#end = Exit.fail(bytes)
      return this.seal()
    }
    this.#entries.push(bytes)
    if (this.sealed) return
    this.#bytes += bytes.length
    this.#usage.bytes += bytes.length
    if (this.#bytes > this.#usage.perCallBytes || this.#usage.bytes > this.#usage.perClientBytes) this.seal()
  }
}

const identityCodec = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }

/** A call whose requests are buffered. */
interface Buffered<out I> {
  readonly requests: Stream.Stream<I, RpcError.RpcError>
  readonly call: Call
  readonly usage: Usage
}

/**
 * Runs a call whose requests are buffered while they are sent. The response is returned at once and its parts complete as an
 * attempt gets there: the caller may need them to produce further requests. `retried` runs the attempts.
 */
export const run = Effect.fnUntraced(function* <I, O>(
  next: Streaming,
  method: Method<I, O>,
  { call, requests, usage }: Buffered<I>,
  retried: (
    attempt: Effect.Effect<StartedStream<O>, RpcError.RpcError, Scope.Scope>,
    sealed: () => boolean
  ) => Effect.Effect<StreamResponse<O>, RpcError.RpcError, Scope.Scope>
): Effect.fn.Return<StreamResponse<O>, RpcError.RpcError, Scope.Scope> {
  const source = (yield* Stream.toPull(requests)) as Source
  const encode = (request: unknown) => requestBytes(method, request as I, call, call.peer ?? "")
  const buffer = new RequestBuffer(source, encode, { usage, scope: yield* Effect.scope })
  yield* Effect.addFinalizer(() => Effect.sync(() => buffer.seal()))

  const bytesMethod: Method<Uint8Array, O> = { ...method, request: identityCodec }
  const attempt = startAndAwaitHeaders(Effect.suspend(() => next(bytesMethod, buffer.requests, call)))
  const answer = Effect.tap(
    retried(attempt, () => buffer.sealed),
    () => Effect.sync(() => buffer.seal())
  )
  const fiber = yield* Effect.forkScoped(answer, { startImmediately: true })
  const response = Fiber.join(fiber)
  return {
    headers: Effect.flatMap(response, ({ headers }) => headers),
    messages: Stream.unwrap(Effect.map(response, ({ messages }) => messages)),
    trailers: Effect.flatMap(response, ({ trailers }) => trailers)
  }
})
