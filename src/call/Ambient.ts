/**
 * What holds for every call inside an effect or a stream.
 *
 * Options, policies and the like live in the fiber's context. A program puts them on whatever makes the calls, and gets
 * back the type it had.
 */
import { type Context, Effect, Stream } from "effect"

/**
 * Something that is put on an effect or on a stream.
 *
 * @category models
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- any effect or stream, returned with the type it had
export type Combinator = <A extends Effect.Effect<any, any, any> | Stream.Stream<any, any, any>>(self: A) => A

/** Changes what a reference says inside. */
export const update =
  <S>(reference: Context.Reference<S>, change: (value: S) => S): Combinator =>
  (self) =>
    (Stream.isStream(self)
      ? Stream.updateService(self, reference, change)
      : Effect.updateService(self as Effect.Effect<unknown>, reference, change)) as never

/** Sets what a reference says inside. */
export const provide = <S>(reference: Context.Reference<S>, value: S): Combinator => update(reference, () => value)
