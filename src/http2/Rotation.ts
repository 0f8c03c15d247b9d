/**
 * Keys and certificates that change while they are used.
 *
 * Certificates live for days and processes for months. An adapter is given either one set or a stream of them; it waits
 * for the first, and a later one holds for every connection made from then on, while those that are open go on. What can't
 * be used is reported, and what was used before stays.
 */
import { Cause, Data, Deferred, Effect, type Scope, Stream } from "effect"

/**
 * One set for good, or every set in its time.
 *
 * @category models
 * @since 0.1.0
 */
export type Rotating<A> = A | Stream.Stream<A, { readonly message: string }>

/**
 * There is no first set of keys and certificates.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialsError extends Data.TaggedError("CredentialsError")<{ readonly problem: string }> {
  override get message(): string {
    return `no certificate to start with: ${this.problem}`
  }
}

/** Follows the sets; what it succeeds with says the latest. Each set after the first is given to `replace`. */
export const follow = Effect.fnUntraced(function* <A>(
  sets: Rotating<A>,
  replace: (set: A) => void
): Effect.fn.Return<() => A, CredentialsError, Scope.Scope> {
  if (!Stream.isStream(sets)) return () => sets
  const first = yield* Deferred.make<void, CredentialsError>()
  let latest: A
  const report = (cause: Cause.Cause<unknown>) => Effect.logWarning("a new certificate cannot be used", cause)
  const use = (set: A) =>
    Effect.gen(function* () {
      if (yield* Deferred.isDone(first)) {
        yield* Effect.catchCause(
          Effect.sync(() => replace(set)),
          report
        )
      }
      latest = set
      yield* Deferred.succeed(first, undefined)
    })
  yield* Stream.runForEach(sets, use).pipe(
    Effect.catch((error) =>
      Effect.flatMap(Deferred.fail(first, new CredentialsError({ problem: error.message })), (isFirst) =>
        isFirst ? Effect.void : report(Cause.fail(error))
      )
    ),
    Effect.andThen(Deferred.fail(first, new CredentialsError({ problem: "the stream is empty" }))),
    Effect.forkScoped
  )
  yield* Deferred.await(first)
  return () => latest
})
