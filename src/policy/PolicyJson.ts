/**
 * Reading configuration files of policies: JSON in which every wrong field is reported, not only the first.
 *
 * The schemas here are the values that such files have in common. A problem says what a value must be, and its path.
 */
import { Duration, Effect, Result, Schema, SchemaGetter, SchemaIssue, SchemaParser } from "effect"
import * as SchemaProblem from "../call/SchemaProblem.ts"
import * as Code_ from "../status/Code.ts"

/**
 * What is wrong, and where, such as `methodConfig[2].retryPolicy.maxAttempts`. The document as a whole is `$`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  readonly path: string
  readonly problem: string
}

/**
 * What was read, or everything that is wrong with it.
 *
 * @category models
 * @since 0.1.0
 */
export type Read<A> = Result.Result<A, ReadonlyArray<Problem>>

/** Where something is in a document. @category paths @since 0.1.0 */
export type Path = ReadonlyArray<PropertyKey>

/**
 * A path as it is written.
 *
 * @category paths
 * @since 0.1.0
 */
export const show = (path: Path): string => (path.length === 0 ? "$" : SchemaProblem.fieldOf(path))

const problemsOf = (issue: SchemaIssue.Issue, at: Path): ReadonlyArray<Problem> =>
  SchemaProblem.ofConfiguration(issue, at).map(({ field, problem }) => ({ path: field === "" ? "$" : field, problem }))

/**
 * What was read, if there is nothing else that is wrong with it.
 *
 * @category reading
 * @since 0.1.0
 */
export const unless = <A>(read: Read<A>, problems: ReadonlyArray<Problem>): Read<A> =>
  problems.length === 0 ? read : Result.fail([...(Result.isFailure(read) ? read.failure : []), ...problems])

/**
 * Everything that was read, or everything that is wrong.
 *
 * @category reading
 * @since 0.1.0
 */
export const all = <const R extends ReadonlyArray<Read<unknown>>>(
  reads: R
): Read<{ readonly [K in keyof R]: R[K] extends Read<infer A> ? A : never }> => {
  const problems = reads.flatMap((read) => (Result.isFailure(read) ? read.failure : []))
  return problems.length > 0 ? Result.fail(problems) : (Result.all(reads as Iterable<Read<never>>) as Read<never>)
}

/** Reads JSON, parsed or as text. */
const parse = (input: unknown, at: Path): Read<unknown> =>
  typeof input === "string"
    ? Result.mapError(
        Result.try(() => JSON.parse(input) as unknown),
        () => [{ path: show(at), problem: "must be JSON" }]
      )
    : Result.succeed(input)

/**
 * Reads documents in which an unknown field is a problem: JSON, parsed or as text.
 *
 * @category reading
 * @since 0.1.0
 */
export const exact = <A>(
  schema: Schema.ConstraintDecoder<A>,
  normalize: (json: unknown) => unknown = (json) => json
): ((input: unknown) => Read<A>) => {
  const decode = SchemaParser.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  return (input) =>
    Result.flatMap(parse(input, []), (json) =>
      Result.mapError(decode(normalize(json)), (issue) => problemsOf(issue, []))
    )
}

/**
 * A document that was read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Document<out A> {
  readonly value: A
  /** The paths of what the schema has no field for. */
  readonly unused: ReadonlyArray<string>
}

/**
 * Reads documents: JSON, parsed or as text. The rules are for what a schema cannot say, and see the JSON, right or wrong.
 *
 * @category reading
 * @since 0.1.0
 */
export const document = <A>(
  schema: Schema.ConstraintDecoder<A>,
  rules: (json: unknown) => ReadonlyArray<Problem> = () => []
): ((input: unknown, at?: Path) => Read<Document<A>>) => {
  const decode = SchemaParser.decodeUnknownResult(schema, { errors: "all" })
  const decodeExactly = SchemaParser.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  const read = (json: unknown, at: Path): Read<Document<A>> => {
    const value = Result.mapError(decode(json), (issue) => problemsOf(issue, at))
    const exactly = decodeExactly(json)
    const unused = Result.isFailure(exactly) ? problemsOf(exactly.failure, at).map(({ path }) => path) : []
    return unless(
      Result.map(value, (value) => ({ value, unused })),
      rules(json)
    )
  }
  return (input, at = []) => Result.flatMap(parse(input, at), (json) => read(json, at))
}

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

/** What a function makes of any JSON; `undefined` if it is not what it must be. */
const decodedBy = <A>(to: Schema.Codec<A>, must: string, read: (input: unknown) => A | undefined) =>
  Schema.Unknown.pipe(
    Schema.decodeTo(to, {
      decode: SchemaGetter.transformEffect((input: unknown) => {
        const value = read(input)
        return value === undefined
          ? Effect.fail(new SchemaIssue.InvalidValue({ message: `must be ${must}` }))
          : Effect.succeed(value)
      }),
      encode: SchemaGetter.transform((value: A): unknown => value)
    })
  )

/** protobuf's longest duration: 10,000 years. */
const maxSeconds = 315_576_000_000

const readDuration = (input: unknown): Duration.Duration | undefined => {
  const match = typeof input === "string" ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(input) : null
  if (match === null || Number(match[2]) > maxSeconds) return undefined
  const nanos = BigInt(match[2]!) * 1_000_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"))
  return Duration.nanos(match[1] === "-" ? -nanos : nanos)
}

const durationWhere = (must: string, holds: (nanos: bigint) => boolean) =>
  decodedBy(Schema.Duration, must, (input) => {
    const duration = readDuration(input)
    return duration !== undefined && holds(Duration.toNanosUnsafe(duration)) ? duration : undefined
  })

/**
 * A duration as protobuf writes it in JSON, zero included.
 *
 * @category values
 * @since 0.1.0
 */
export const Wait = durationWhere('a duration such as "1.5s", and not negative', (nanos) => nanos >= 0n)

/**
 * A duration as protobuf writes it in JSON, longer than zero.
 *
 * @category values
 * @since 0.1.0
 */
export const Span = durationWhere('a duration such as "1.5s", and longer than 0', (nanos) => nanos > 0n)

/**
 * A status code of a failure, by its name in any case, or by its number.
 *
 * @category values
 * @since 0.1.0
 */
export const Code = decodedBy(Schema.Literals(Code_.all), "a status code other than OK, by name or number", (input) => {
  const name =
    typeof input === "number" ? Code_.all[input - 1] : typeof input === "string" ? input.toUpperCase() : input
  return Code_.isCode(name) ? name : undefined
})

/** protobuf writes whole numbers in JSON as numbers or in quotes. */
const readNumber = (input: unknown): number | undefined =>
  typeof input === "number" ? input : typeof input === "string" && /^\d+$/.test(input) ? Number(input) : undefined

const numberWhere = (must: string, holds: (n: number) => boolean) =>
  decodedBy(Schema.Number, must, (input) => {
    const n = readNumber(input)
    return n !== undefined && Number.isFinite(n) && holds(n) ? n : undefined
  })

/** The largest number of protobuf's `uint32`. */
const maxUint32 = 2 ** 32 - 1

/**
 * A whole number between `min` and `max`, both included.
 *
 * @category values
 * @since 0.1.0
 */
export const Count = (min: number, max = maxUint32) =>
  numberWhere(
    max === maxUint32 ? `a whole number, at least ${min}` : `a whole number between ${min} and ${max}`,
    (n) => Number.isInteger(n) && n >= min && n <= max
  )

/**
 * A number that is not less than `min`.
 *
 * @category values
 * @since 0.1.0
 */
export const AtLeast = (min: number) => numberWhere(`a number, at least ${min}`, (n) => n >= min)

/**
 * A number greater than 0.
 *
 * @category values
 * @since 0.1.0
 */
export const Positive = numberWhere("a number greater than 0", (n) => n > 0)

/** Any text. @category values @since 0.1.0 */
export const Text = Schema.String.annotate({ message: "must be a string" })

/** A boolean. @category values @since 0.1.0 */
export const Flag = Schema.Boolean.annotate({ message: "must be true or false" })

/**
 * A list of values.
 *
 * @category values
 * @since 0.1.0
 */
export const List = <S extends Schema.Constraint>(item: S): Schema.$Array<S> =>
  Schema.Array(item).annotate({ message: "must be a list" })

/**
 * An object with some fields; others are not looked at.
 *
 * @category values
 * @since 0.1.0
 */
export const Fields = <const F extends Schema.Struct.Fields>(fields: F): Schema.Struct<F> =>
  Schema.Struct(fields).annotate({ message: "must be an object" })

/**
 * An object with fields of one kind.
 *
 * @category values
 * @since 0.1.0
 */
export const Named = <S extends Schema.Constraint>(value: S): Schema.$Record<Schema.String, S> =>
  Schema.Record(Schema.String, value).annotate({ message: "must be an object" })
