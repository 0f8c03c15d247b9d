/**
 * The gRPC status codes.
 *
 * A code is a word, not a number: it reads in a policy (`["UNAVAILABLE"]`), in a log line and in a type. The number
 * exists only on the wire. Numbers the specification does not know are `UNKNOWN`, as every gRPC implementation does.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
 */

const names = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED"
] as const

/**
 * Every way a call can end, `OK` included.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = (typeof names)[number]

/**
 * The sixteen ways a call can fail.
 *
 * @category models
 * @since 0.1.0
 */
export type Code = Exclude<Status, "OK">

/**
 * All sixteen failing codes, in wire order (1 to 16).
 *
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<Code> = names.slice(1) as ReadonlyArray<Code>

const numbers: ReadonlyMap<string, number> = new Map(names.map((name, number) => [name, number]))

/**
 * The number a status has on the wire.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toNumber = (self: Status): number => numbers.get(self)!

/**
 * The status behind a wire number; numbers outside 0 to 16 are `UNKNOWN`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromNumber = (number: number): Status => names[number] ?? "UNKNOWN"

/**
 * Whether a value names one of the sixteen failing codes.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCode = (u: unknown): u is Code => typeof u === "string" && u !== "OK" && numbers.has(u)
