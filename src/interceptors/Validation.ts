/**
 * Requests that are wrong, found before they are sent and before a handler sees them.
 *
 * A rule says what is wrong with a request: a problem for each field, or nothing. A request with a problem ends its call as
 * `INVALID_ARGUMENT`, whose message and whose `google.rpc.BadRequest` detail name the fields, the first 16 of them. On a
 * client that happens
 * before a peer is chosen, and again on the server, which has no reason to believe its clients.
 */
import { Effect, Result, Schema, SchemaIssue, SchemaParser, Stream } from "effect"
import * as ErrorDetails from "../status/ErrorDetails.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "../call/Call.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import * as Method from "../call/Method.ts"
import * as Deadline from "../call/Deadline.ts"
import * as SchemaProblem from "../call/SchemaProblem.ts"
import * as Service from "../call/Service.ts"

/**
 * What is wrong, by the path of the field, such as `user.mails[2]`. Nothing is wrong if it is empty. A problem says what
 * must be and not what was given, which may be a secret.
 *
 * @category models
 * @since 0.1.0
 */
export type Problems = Readonly<Record<string, string>>

/**
 * Says what is wrong with a request, at once or as an Effect. An Effect that fails ends the call with its own error.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule<in I> = (request: I, method: Method.Any) => Problems | Effect.Effect<Problems, RpcError.RpcError>

const none: Problems = {}

/**
 * A rule about one field.
 *
 * @example
 * import { Validation } from "trunkline"
 *
 * const positive = Validation.check({
 *   field: "count",
 *   problem: "must be positive",
 *   holds: (request: { readonly count: number }) => request.count > 0
 * })
 *
 * @category rules
 * @since 0.1.0
 */
export const check = <I>(options: {
  readonly field: string
  readonly problem: string
  readonly holds: (request: I) => boolean
}): Rule<I> => {
  const problems = { [options.field]: options.problem }
  return (request) => (options.holds(request) ? none : problems)
}

/** The name of the request as a whole, where a problem has no field. */
const whole = "request"

const fieldOf = (path: ReadonlyArray<PropertyKey>): string => SchemaProblem.fieldOf(path) || whole

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/**
 * A rule written as a `Schema` of the request as the program sees it. Fields the schema does not name are not looked at.
 *
 * @example
 * import { Schema } from "effect"
 * import { Validation } from "trunkline"
 *
 * const named = Validation.schema(Schema.Struct({ name: Schema.NonEmptyString }))
 *
 * @category rules
 * @since 0.1.0
 */
export const schema = (schema: Schema.Constraint): Rule<unknown> => {
  const decode = SchemaParser.decodeUnknownResult(Schema.toType(schema), { errors: "all" })
  return (request) => {
    const result = Result.try(() => decode(request))
    // A value that refers to itself has no end.
    if (Result.isFailure(result)) return { [whole]: "cannot be looked at: it is nested too deeply" }
    return Result.isSuccess(result.success)
      ? none
      : merge(
          issuesOf(result.success.failure).issues.map(({ message, path }) => ({
            [fieldOf((path ?? []) as ReadonlyArray<PropertyKey>)]: message
          }))
        )
  }
}

const merge = (all: ReadonlyArray<Problems>): Problems => {
  const merged = new Map<string, string>()
  for (const [field, problem] of all.flatMap(Object.entries<string>)) {
    const other = merged.get(field)
    merged.set(field, other === undefined ? problem : `${other}, ${problem}`)
  }
  return Object.fromEntries(merged)
}

/**
 * One rule of many: everything that is wrong.
 *
 * @category rules
 * @since 0.1.0
 */
export const all =
  <I>(...rules: ReadonlyArray<Rule<I>>): Rule<I> =>
  (request, method) => {
    const verdicts = rules.map((rule) => rule(request, method))
    return verdicts.some(Effect.isEffect)
      ? Effect.map(
          Effect.forEach(verdicts, (verdict) => (Effect.isEffect(verdict) ? verdict : Effect.succeed(verdict))),
          merge
        )
      : merge(verdicts as ReadonlyArray<Problems>)
  }

/** As many problems as are told, and as much of each: a status is short, and a request may have thousands. */
const mostProblems = 16
const mostOfField = 120
const mostOfProblem = 200

/** The error of a request that is wrong. */
const refusal = (problems: Problems, method: Method.Any): RpcError.RpcError | undefined => {
  const all = Object.entries(problems)
  if (all.length === 0) return undefined
  const told = all
    .slice(0, mostProblems)
    .map(
      ([field, problem]) => [SchemaProblem.cut(field, mostOfField), SchemaProblem.cut(problem, mostOfProblem)] as const
    )
  const texts = told.map(([field, problem]) => `${field}: ${problem}`)
  if (all.length > told.length) texts.push(`and ${all.length - told.length} more`)
  return ErrorDetails.attach(
    RpcError.make("INVALID_ARGUMENT", texts.join("; "), { method: method.path }),
    ErrorDetails.badRequest(Object.fromEntries(told))
  )
}

const verdict = <I, A>(
  rule: Rule<I>,
  request: I,
  call: Call,
  method: Method.Any,
  onGood: () => Effect.Effect<A, RpcError.RpcError>
): Effect.Effect<A, RpcError.RpcError> => {
  const decide = (problems: Problems) => {
    const error = refusal(problems, method)
    return error === undefined ? onGood() : Effect.fail(error)
  }
  const problems = rule(request, method)
  return Effect.isEffect(problems)
    ? Effect.flatMap(Deadline.within(problems, call, "the request's validation"), decide)
    : decide(problems)
}

/** Checks requests by the rule of their method. */
const interceptor = (ruleOf: (method: Method.Any) => Rule<unknown> | undefined): Interceptor => ({
  unary: (next) => (method, request, call) => {
    const rule = ruleOf(method)
    return rule === undefined
      ? next(method, request, call)
      : Effect.suspend(() => verdict(rule, request, call, method, () => next(method, request, call)))
  },
  stream: (next) => (method, requests, call) => {
    const rule = ruleOf(method)
    if (rule === undefined) return next(method, requests, call)
    const checked = Stream.mapEffect(requests, (request) =>
      verdict(rule, request, call, method, () => Effect.succeed(request))
    )
    // A call with one request starts when that one is good; two are taken because a second one is for others to refuse.
    return Method.sendsMany(method)
      ? next(method, checked, call)
      : Effect.flatMap(Stream.runCollect(Stream.take(checked, 2)), (all) => next(method, Stream.fromArray(all), call))
  }
})

/**
 * Checks the requests of every method by one rule. A streamed request that is wrong ends its call; those before it have
 * been passed on.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = (rule: Rule<unknown>): Interceptor => interceptor(() => rule)

type RequestOf<M> = M extends Method.Method<infer I, unknown> ? I : never

/**
 * A rule for some methods of a service. Requests are seen as a caller may give them; with protoc-gen-es that includes
 * messages with fields left out.
 *
 * @category models
 * @since 0.1.0
 */
export type Rules<S extends Service.Input> = {
  readonly [K in keyof Service.From<S>["methods"]]?: Rule<RequestOf<Service.From<S>["methods"][K]>> | undefined
}

/**
 * Checks the requests of some methods of a service, each by its own rule. Other methods pass.
 *
 * @example
 * import { Schema } from "effect"
 * import { Interceptor, Service, Validation } from "trunkline"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const Checked = Interceptor.layer(
 *   Validation.ofService(Echo, { say: (text) => (text === "" ? { text: "must not be empty" } : {}) })
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const ofService = <S extends Service.Input>(service: S, rules: Rules<S>): Interceptor => {
  const { methods }: Service.Service = Service.from(service)
  const byPath = new Map(
    Object.entries<Rule<never> | undefined>(rules).map(([name, rule]) => [methods[name]!.path, rule])
  )
  return interceptor((method) => byPath.get(method.path) as Rule<unknown> | undefined)
}
