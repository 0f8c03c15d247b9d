/**
 * Keys and certificates that change while they are used.
 *
 * Certificates live for days and processes for months. An adapter is given either one set or a stream of them; it waits
 * for the first, and a later one holds for every connection made from then on, while those that are open go on. What can't
 * be used is reported, and what was used before stays.
 */
import { Data, Deferred, Effect, type Scope, Stream } from "effect"

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

/**
 * Follows the sets; what it succeeds with says the latest. Each set is made ready for use first, and one that `prepare`
 * throws on is none: the first fails, later ones are reported and what was used before stays. Each set after the first is
 * given to `replace`.
 */
export const follow = Effect.fnUntraced(function* <A, B>(
  sets: Stream.Stream<A, { readonly message: string }>,
  prepare: (set: A) => B,
  replace?: (prepared: B) => void
): Effect.fn.Return<() => B, CredentialsError, Scope.Scope> {
  const first = yield* Deferred.make<void, CredentialsError>()
  let latest: B
  const report = (problem: string) =>
    Effect.logWarning(`a new certificate cannot be used, and the one before stays: ${problem}`)
  const fail = (problem: string) => Deferred.fail(first, new CredentialsError({ problem }))
  const use = (set: A) =>
    Effect.try({
      try: () => {
        const prepared = prepare(set)
        if (latest !== undefined) replace?.(prepared)
        latest = prepared
      },
      catch: (error) => (error instanceof Error ? error.message : String(error))
    }).pipe(
      Effect.andThen(Deferred.succeed(first, undefined)),
      Effect.catch((problem) => Effect.flatMap(fail(problem), (isFirst) => (isFirst ? Effect.void : report(problem))))
    )
  yield* Stream.runForEach(sets, use).pipe(
    Effect.catch(({ message }) =>
      Effect.flatMap(fail(message), (isFirst) => (isFirst ? Effect.void : report(message)))
    ),
    Effect.andThen(fail("the stream is empty")),
    Effect.forkScoped
  )
  yield* Deferred.await(first)
  return () => latest
})
