/**
 * Work that outlives its call: `google.longrunning` operations.
 *
 * A call that starts such work answers with an operation, which is a name to ask for it by. Here that becomes a value, to
 * wait for, watch, cancel, or find again by its name in another process. Asking is looking from time to time: a `Schedule`
 * says when, and since nobody else is on the other end of it, the default has no jitter. A look that fails is a call that
 * failed, tried again by its own policy, so that one unavailable backend does not lose hours of work.
 *
 * The work is the server's. Whoever stops waiting for it, by time or by interruption, stops waiting and nothing more;
 * `cancel` and `cancelOnInterrupt` say otherwise.
 *
 * @see https://google.aip.dev/151
 */
import { type DescMessage, equals, fromBinary, type MessageShape } from "@bufbuild/protobuf"
import { type Any, anyIs } from "@bufbuild/protobuf/wkt"
import { Clock, Context, Data, Duration, Effect, Function, Layer, Option, Pull, Result, Schedule, Stream } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Backoff from "../retry/Backoff.ts"
import * as Retry from "../retry/Retry.ts"
import * as Code from "../status/Code.ts"
import * as ErrorDetails from "../status/ErrorDetails.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Transport } from "../transport/Transport.ts"
import * as Client from "../client/Client.ts"
import { type Operation as Message, Operations as OperationsService } from "./gen/google/longrunning/operations_pb.ts"

/**
 * The service `google.longrunning.Operations` and the message of an operation, for clients and servers of your own.
 *
 * @category descriptions
 * @since 0.1.0
 */
export {
  type Operation as Message,
  OperationSchema as MessageSchema,
  Operations as OperationsService
} from "./gen/google/longrunning/operations_pb.ts"

/**
 * The client that asks for operations. It must reach the backends that run them.
 *
 * @category services
 * @since 0.1.0
 */
export class Operations extends Context.Service<Operations, Client.Client<typeof OperationsService>>()(
  "trunkline/google/Operation"
) {}

const untilBack = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()).pipe(Retry.maxAttempts(10))

/**
 * Makes the client that asks for operations. Like every client it takes its retry policy from the context; without one it
 * tries up to 10 times while the backends are unavailable.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Operations, never, Transport> = Layer.effect(
  Operations,
  Effect.updateService(Client.make(OperationsService), Retry.Current, (policy) => policy ?? untilBack)
)

/**
 * What a look at an operation saw. The metadata says how far the work is, if the server says so in the expected message.
 *
 * @category models
 * @since 0.1.0
 */
export type State<A, M> =
  | { readonly _tag: "Running"; readonly metadata: M | undefined }
  | { readonly _tag: "Succeeded"; readonly metadata: M | undefined; readonly response: A }
  | { readonly _tag: "Failed"; readonly metadata: M | undefined; readonly error: RpcError.RpcError }

/**
 * What an operation's messages are, and how it is looked after.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<A extends DescMessage, M extends DescMessage> {
  /** The message of the result. */
  readonly response: A
  /** The message that says how far the work is. */
  readonly metadata: M
  /** When to look again, told what was seen. Default 5 seconds, growing by half up to 45 seconds; it does not end. */
  readonly schedule?: Schedule.Schedule<unknown, State<MessageShape<A>, MessageShape<M>>> | undefined
  /** Whether to repeat a look that failed. Default: as the method's policy and the client's say. */
  readonly retry?: Retry.RetryPolicy | undefined
  /**
   * How long to wait in all. Default: as long as it takes, inside the deadline of the call being served. Waiting is given
   * up as soon as no further look could begin inside it.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * An operation on a server. It is a value: what it waits for is waited for anew each time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operation<in out A, in out M> {
  readonly name: string
  /** The answer of the call that started it, if this is who called. */
  readonly started: Message | undefined
  readonly client: Operations["Service"]
  readonly schedule: Schedule.Schedule<unknown, State<A, M>>
  readonly retry: Retry.RetryPolicy | undefined
  readonly timeoutMillis: number
  readonly read: (message: Message) => Result.Result<State<A, M>, RpcError.RpcError>
  readonly sameMetadata: (a: M, b: M) => boolean
}

/**
 * Why there is no result: the cause of the error that `result` and its kin fail with, where it is not a failed call.
 *
 * - `failed`: the work ended so. The error has the code, the text and the details the server gave.
 * - `vanished`: the server no longer knows the operation, or never did (`NOT_FOUND`).
 * - `gave_up`: no further look could begin inside the timeout, or the schedule ended (`DEADLINE_EXCEEDED`).
 *
 * @category errors
 * @since 0.1.0
 */
export class NoResult extends Data.TaggedError("NoResult")<{
  readonly operation: string
  readonly because: "failed" | "vanished" | "gave_up"
}> {}

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const unpack = <D extends DescMessage>(any: Any | undefined, schema: D): Result.Result<MessageShape<D>, unknown> =>
  any !== undefined && anyIs(any, schema)
    ? Result.try(() => fromBinary(schema, any.value))
    : Result.fail("another message, or none")

/** What a look saw. Metadata that cannot be read is not there; a result that cannot be read is an error. */
const reader =
  <A extends DescMessage, M extends DescMessage>(options: Options<A, M>) =>
  (message: Message): Result.Result<State<MessageShape<A>, MessageShape<M>>, RpcError.RpcError> => {
    const metadata = Result.getOrUndefined(unpack(message.metadata, options.metadata))
    if (!message.done) return Result.succeed({ _tag: "Running", metadata })
    switch (message.result.case) {
      case "error": {
        const { code, details, message: text } = message.result.value
        const status = Code.fromNumber(code)
        const error = RpcError.make(status === "OK" ? "UNKNOWN" : status, text, {
          origin: "remote",
          cause: new NoResult({ operation: message.name, because: "failed" })
        })
        return Result.succeed({ _tag: "Failed", metadata, error: ErrorDetails.attach(error, ...details) })
      }
      case "response": {
        const problem = `the operation's result is not a readable ${options.response.typeName}`
        return unpack(message.result.value, options.response).pipe(
          Result.map((response) => ({ _tag: "Succeeded" as const, metadata, response })),
          Result.mapError((cause) => RpcError.make("INTERNAL", problem, { cause }))
        )
      }
      // A server that has nothing to say may leave the result out; protobuf's word for that is an empty message.
      case undefined:
        return Result.succeed({ _tag: "Succeeded", metadata, response: fromBinary(options.response, new Uint8Array()) })
    }
  }

// ---------------------------------------------------------------------------------------------------------------------
// Having one
// ---------------------------------------------------------------------------------------------------------------------

/**
 * When to look, unless told otherwise: after 5 seconds, then growing by half up to 45 seconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSchedule: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("5 seconds", 1.5),
  Schedule.spaced("45 seconds")
])

const make = <A extends DescMessage, M extends DescMessage>(
  name: string,
  started: Message | undefined,
  options: Options<A, M>
): Effect.Effect<Operation<MessageShape<A>, MessageShape<M>>, never, Operations> =>
  Effect.map(Operations, (client) => ({
    name,
    started,
    client,
    schedule: options.schedule ?? defaultSchedule,
    retry: options.retry,
    timeoutMillis: options.timeout === undefined ? Infinity : Duration.toMillis(options.timeout),
    read: reader(options),
    sameMetadata: (a, b) => equals(options.metadata, a, b)
  }))

/**
 * Runs a call that starts an operation. If its answer says that the work is done already, nobody looks again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start: {
  <A extends DescMessage, M extends DescMessage>(
    options: Options<A, M>
  ): <E, R>(
    call: Effect.Effect<Message, E, R>
  ) => Effect.Effect<Operation<MessageShape<A>, MessageShape<M>>, E, R | Operations>
  <E, R, A extends DescMessage, M extends DescMessage>(
    call: Effect.Effect<Message, E, R>,
    options: Options<A, M>
  ): Effect.Effect<Operation<MessageShape<A>, MessageShape<M>>, E, R | Operations>
} = Function.dual(
  2,
  <E, R, A extends DescMessage, M extends DescMessage>(call: Effect.Effect<Message, E, R>, options: Options<A, M>) =>
    Effect.flatMap(call, (started) => make(started.name, started, options))
)

/**
 * An operation that somebody started before, by its name. Whether there is one of that name shows when it is looked for.
 *
 * @example
 * import { EmptySchema } from "@bufbuild/protobuf/wkt"
 * import { Effect } from "effect"
 * import { Operation } from "trunkline/google"
 *
 * const finished = Operation.attach("operations/42", { response: EmptySchema, metadata: EmptySchema }).pipe(
 *   Effect.flatMap(Operation.result),
 *   Effect.catchReason("RpcError", "NotFound", () => Effect.log("it was deleted"))
 * )
 *
 * @category constructors
 * @since 0.1.0
 */
export const attach = <A extends DescMessage, M extends DescMessage>(
  name: string,
  options: Options<A, M>
): Effect.Effect<Operation<MessageShape<A>, MessageShape<M>>, never, Operations> => make(name, undefined, options)

// ---------------------------------------------------------------------------------------------------------------------
// Looking
// ---------------------------------------------------------------------------------------------------------------------

const vanished = (name: string) =>
  Effect.mapError((error: RpcError.RpcError) =>
    error.code === "NOT_FOUND"
      ? RpcError.annotate(error, { cause: new NoResult({ operation: name, because: "vanished" }) })
      : error
  )

const ask = <A, M>(self: Operation<A, M>): Effect.Effect<Message, RpcError.RpcError> => {
  const call = vanished(self.name)(self.client.getOperation({ name: self.name }))
  return self.retry === undefined ? call : Retry.withPolicy(self.retry)(call)
}

/**
 * Looks once.
 *
 * @category looking
 * @since 0.1.0
 */
export const get = <A, M>(self: Operation<A, M>): Effect.Effect<State<A, M>, RpcError.RpcError> =>
  Effect.flatMap(ask(self), (message) => Effect.fromResult(self.read(message)))

/**
 * Looks once, and asks the server to answer when the work is done or after a time, whichever is first. It may answer
 * sooner, and many servers do not know this method (`UNIMPLEMENTED`).
 *
 * @category looking
 * @since 0.1.0
 */
export const wait: {
  (timeout: Duration.Input): <A, M>(self: Operation<A, M>) => Effect.Effect<State<A, M>, RpcError.RpcError>
  <A, M>(self: Operation<A, M>, timeout: Duration.Input): Effect.Effect<State<A, M>, RpcError.RpcError>
} = Function.dual(2, <A, M>(self: Operation<A, M>, timeout: Duration.Input) => {
  const duration = Duration.fromInputUnsafe(timeout)
  const [seconds, nanos] = Duration.toHrTime(Duration.isFinite(duration) ? duration : Duration.zero)
  const request = { name: self.name, timeout: { seconds: BigInt(seconds), nanos } }
  return vanished(self.name)(
    self.client.waitOperation(Duration.isFinite(duration) ? request : { name: self.name })
  ).pipe(Effect.flatMap((message) => Effect.fromResult(self.read(message))))
})

/** The looks of one wait, each after its delay, none after the limit. */
const looks = Effect.fnUntraced(function* <A, M>(self: Operation<A, M>) {
  const clock = yield* Clock.Clock
  const limit = Math.min(yield* Deadline.Current, Deadline.nowUnsafe(clock) + self.timeoutMillis)
  const step = yield* Schedule.toStep(self.schedule)
  const gaveUp = RpcError.make("DEADLINE_EXCEEDED", "the operation is not done and the time to wait for it is over", {
    cause: new NoResult({ operation: self.name, because: "gave_up" })
  })
  const look = ask(self).pipe(
    Effect.provideService(Deadline.Current, limit),
    Effect.mapError((error) =>
      error.code === "DEADLINE_EXCEEDED" && Deadline.nowUnsafe(clock) >= limit
        ? RpcError.annotate(gaveUp, { attempts: error.attempts, method: error.method, peer: error.peer })
        : error
    )
  )
  return (seen: State<A, M> | undefined): Effect.Effect<Message, RpcError.RpcError> =>
    seen === undefined
      ? look
      : step(clock.currentTimeMillisUnsafe(), seen).pipe(
          Pull.catchDone(() => Effect.fail(gaveUp)),
          Effect.flatMap(([, delay]) =>
            Deadline.after(Deadline.nowUnsafe(clock), delay) < limit
              ? Effect.andThen(Effect.sleep(delay), look)
              : Effect.fail(gaveUp)
          )
        )
})

/**
 * What every look sees, from what is known when it starts until the work is done. To follow the progress and have the
 * result at once, use this.
 *
 * @category looking
 * @since 0.1.0
 */
export const states = <A, M>(self: Operation<A, M>): Stream.Stream<State<A, M>, RpcError.RpcError> =>
  Stream.unwrap(
    Effect.map(looks(self), (look) =>
      Stream.paginate<State<A, M> | undefined, State<A, M>, RpcError.RpcError>(undefined, (seen) =>
        (seen === undefined && self.started !== undefined ? Effect.succeed(self.started) : look(seen)).pipe(
          Effect.flatMap((message) => Effect.fromResult(self.read(message))),
          Effect.map((state) => [[state], state._tag === "Running" ? Option.some(state) : Option.none()])
        )
      )
    )
  )

/** Fails as the work did. */
const orFailure = <A, M>(state: State<A, M>): Effect.Effect<State<A, M>, RpcError.RpcError> =>
  state._tag === "Failed" ? Effect.fail(state.error) : Effect.succeed(state)

/**
 * Waits for the result. What the work failed with is the error, as if the call that started it had failed so; the error's
 * cause is `NoResult` unless it was a look that failed.
 *
 * @category looking
 * @since 0.1.0
 */
export const result = <A, M>(self: Operation<A, M>): Effect.Effect<A, RpcError.RpcError> =>
  states(self).pipe(
    Stream.mapEffect(orFailure),
    Stream.filterMap((state) => (state._tag === "Succeeded" ? Result.succeed(state.response) : Result.failVoid)),
    Stream.runHead,
    Effect.map(Option.getOrThrow)
  )

/**
 * How far the work is, each time that changes, until it is done. Fails with what `result` fails with.
 *
 * @category looking
 * @since 0.1.0
 */
export const progress = <A, M>(self: Operation<A, M>): Stream.Stream<M, RpcError.RpcError> =>
  states(self).pipe(
    Stream.mapEffect(orFailure),
    Stream.filterMap(({ metadata }) => (metadata === undefined ? Result.failVoid : Result.succeed(metadata))),
    Stream.changesWith(self.sameMetadata)
  )

// ---------------------------------------------------------------------------------------------------------------------
// Ending
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Asks the server to stop the work, and does not wait until it has. Work that stops fails as `CANCELLED`; it may as well
 * succeed before it hears of it.
 *
 * @category ending
 * @since 0.1.0
 */
export const cancel = <A, M>(self: Operation<A, M>): Effect.Effect<void, RpcError.RpcError> =>
  Effect.asVoid(vanished(self.name)(self.client.cancelOperation({ name: self.name })))

const delete_ = <A, M>(self: Operation<A, M>): Effect.Effect<void, RpcError.RpcError> =>
  Effect.asVoid(vanished(self.name)(self.client.deleteOperation({ name: self.name })))

export {
  /**
   * Tells the server that nobody will ask for the result. This does not stop the work.
   *
   * @category ending
   * @since 0.1.0
   */
  delete_ as delete
}

/** How long an interrupted wait may take to tell the server. */
const cancelTimeoutMillis = 5000

/**
 * Cancels the operation when the effect is interrupted. The interruption waits until the server has heard of it, 5 seconds
 * at most, and does not fail if it cannot be told.
 *
 * @example
 * import { Operation } from "trunkline/google"
 *
 * const orStop = <A, M>(operation: Operation.Operation<A, M>) =>
 *   Operation.result(operation).pipe(Operation.cancelOnInterrupt(operation))
 *
 * @category ending
 * @since 0.1.0
 */
export const cancelOnInterrupt =
  <A, M>(operation: Operation<A, M>) =>
  <B, E, R>(self: Effect.Effect<B, E, R>): Effect.Effect<B, E, R> =>
    Effect.onInterrupt(self, () =>
      cancel(operation).pipe(
        CallOptions.update((options) => ({
          ...options,
          deadlineMillis: Math.min(options.deadlineMillis, cancelTimeoutMillis)
        })),
        Effect.ignore
      )
    )
