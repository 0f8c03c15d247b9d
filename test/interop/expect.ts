/** What the cases hold against what they get. */
import { Data, Effect } from "effect"
import type { Code, RpcError } from "trunkline"
import type { Payload } from "../gen/interop_pb.ts"

/** A case does not hold: what was looked at, what it should have been and what it was. */
export class Mismatch extends Data.TaggedError("Mismatch")<{
  readonly what: string
  readonly expected: unknown
  readonly actual: unknown
}> {
  override get message(): string {
    return `${this.what}: expected ${JSON.stringify(this.expected)}, got ${JSON.stringify(this.actual)}`
  }
}

/** Text, numbers, and lists of them. */
export const equal = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, Mismatch> =>
  JSON.stringify(actual) === JSON.stringify(expected)
    ? Effect.void
    : Effect.fail(new Mismatch({ what, expected, actual }))

/** A payload of so many zeros. */
export const payload = (actual: Payload | undefined, size: number): Effect.Effect<void, Mismatch> => {
  const body = actual?.body ?? new Uint8Array()
  return Effect.andThen(
    equal("payload size", body.length, size),
    equal("payload is zeros", Buffer.alloc(size).equals(body), true)
  )
}

/** Ends with this status; with its message, if one is given. */
export const status = <R>(
  what: string,
  call: Effect.Effect<unknown, RpcError.RpcError, R>,
  code: Code.Code,
  message?: string
): Effect.Effect<void, Mismatch, R> =>
  Effect.matchEffect(call, {
    onSuccess: () => equal(what, "OK", code),
    onFailure: (error) =>
      message === undefined
        ? equal(what, error.code, code)
        : equal(what, [error.code, error.reason.message], [code, message])
  })
