/**
 * GAPIC's `client_config.json`: the retries and timeouts that the owner of an API generated for its methods.
 *
 * A method names a set of codes and a set of seven numbers. With both, and with at least one code, it is retried: the
 * numbers give its delays, the time of each attempt and the time of all of them, and the method's own timeout plays no
 * part. Otherwise its timeout bounds its one attempt.
 *
 * A program may write over such a file with a second one of the same form, for some of its methods. What that one says of
 * a method replaces what the first says of it, `null` takes its retries and keeps its timeout, and a set that it defines
 * anew is new for the methods it names and for no others.
 *
 * Batching is not done here; `unused` names it, and whatever is spelt in a way that nobody knows.
 *
 * @see https://google.aip.dev/client-libraries/4221
 */
import { type Config, Data, Effect, Layer, Result, Schema } from "effect"
import type * as Method from "../call/Method.ts"
import type { Code } from "../status/Code.ts"
import * as Backoff from "../retry/Backoff.ts"
import * as MethodPolicy from "../policy/MethodPolicy.ts"
import * as PolicyJson from "../policy/PolicyJson.ts"
import * as PolicyText from "../policy/PolicyText.ts"
import * as Retry from "../retry/Retry.ts"

/**
 * A client config that is not one. The problems are all there are; those of the overrides are under `overrides`.
 *
 * @category errors
 * @since 0.1.0
 */
export class GapicConfigError extends Data.TaggedError("GapicConfigError")<{
  readonly problems: ReadonlyArray<PolicyJson.Problem>
}> {
  override get message(): string {
    return `the client config is wrong: ${this.problems.map(({ path, problem }) => `${path} ${problem}`).join("; ")}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is written
// ---------------------------------------------------------------------------------------------------------------------

const RetryParams = PolicyJson.Fields({
  initial_retry_delay_millis: PolicyJson.Positive,
  retry_delay_multiplier: PolicyJson.AtLeast(1),
  max_retry_delay_millis: PolicyJson.Positive,
  initial_rpc_timeout_millis: PolicyJson.Positive,
  rpc_timeout_multiplier: PolicyJson.AtLeast(1),
  max_rpc_timeout_millis: PolicyJson.Positive,
  total_timeout_millis: PolicyJson.Positive
}).check(
  Schema.makeFilter((params) => {
    const below = (max: keyof typeof params, initial: keyof typeof params) =>
      params[max] < params[initial] ? [{ path: [max], issue: `must not be less than ${initial}` }] : []
    return [
      ...below("max_retry_delay_millis", "initial_retry_delay_millis"),
      ...below("max_rpc_timeout_millis", "initial_rpc_timeout_millis")
    ]
  })
)

const MethodConfig = PolicyJson.Fields({
  timeout_millis: Schema.optionalKey(PolicyJson.Positive),
  retry_codes_name: Schema.optionalKey(PolicyJson.Text),
  retry_params_name: Schema.optionalKey(PolicyJson.Text)
})

const MethodOrNone = Schema.NullOr(MethodConfig).annotate({ message: "must be an object or null" })

const Document = PolicyJson.Fields({
  interfaces: PolicyJson.Named(
    PolicyJson.Fields({
      retry_codes: Schema.optionalKey(PolicyJson.Named(PolicyJson.List(PolicyJson.Code))),
      retry_params: Schema.optionalKey(PolicyJson.Named(RetryParams)),
      methods: Schema.optionalKey(PolicyJson.Named(MethodOrNone))
    })
  )
})

type Interfaces = (typeof Document.Type)["interfaces"]
type Interface = Interfaces[string]
type Written = typeof MethodConfig.Type

/**
 * The seven numbers.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryParams = typeof RetryParams.Type

/**
 * What a config says of a method.
 *
 * @category models
 * @since 0.1.0
 */
export interface MethodSettings {
  /** `package.Service` */
  readonly service: string
  readonly method: string
  /** What bounds the call if it is not retried. */
  readonly timeoutMillis: number | undefined
  readonly retry: { readonly codes: ReadonlyArray<Code>; readonly params: RetryParams } | undefined
}

/**
 * A client config, its overrides included.
 *
 * @category models
 * @since 0.1.0
 */
export interface GapicConfig {
  readonly methods: ReadonlyArray<MethodSettings>
  /** The paths of the fields that change nothing here. */
  readonly unused: ReadonlyArray<string>
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const read = PolicyJson.document(Document)

const nothing: Interface = {}

/** A set of an interface by its name, or of a later interface if the first has none so called. */
const named = <A>(
  sets: ReadonlyArray<Readonly<Record<string, A>> | undefined>,
  name: string | undefined,
  path: PolicyJson.Path
): PolicyJson.Read<A | undefined> => {
  if (name === undefined) return Result.succeed(undefined)
  const set = sets.find((set) => set !== undefined && Object.hasOwn(set, name))
  return set === undefined
    ? Result.fail([{ path: PolicyJson.show(path), problem: "must name a set that there is" }])
    : Result.succeed(set[name])
}

/** The sets that a method names, as far as it does. */
const setsOf = (path: PolicyJson.Path, interfaces: ReadonlyArray<Interface>, written: Written | null | undefined) =>
  PolicyJson.all([
    named(
      interfaces.map(({ retry_codes }) => retry_codes),
      written?.retry_codes_name,
      [...path, "retry_codes_name"]
    ),
    named(
      interfaces.map(({ retry_params }) => retry_params),
      written?.retry_params_name,
      [...path, "retry_params_name"]
    )
  ])

/** What is written of a method, with what is written over it. */
const settle = (service: string, method: string, base: Interface, over: Interface): PolicyJson.Read<MethodSettings> => {
  const path = ["interfaces", service, "methods", method]
  const [written, change] = [base.methods?.[method], over.methods?.[method]]
  const reads = PolicyJson.all([setsOf(path, [base], written), setsOf(["overrides", ...path], [over, base], change)])
  return Result.flatMap(reads, ([[codes, params], [newCodes, newParams]]): PolicyJson.Read<MethodSettings> => {
    const settled = { codes: newCodes ?? codes ?? [], params: newParams ?? params }
    const timeoutMillis = change?.timeout_millis ?? written?.timeout_millis
    const retried = (change === undefined ? written : change) !== null && settled.codes.length > 0
    if (!retried) return Result.succeed({ service, method, timeoutMillis, retry: undefined })
    return settled.params === undefined
      ? Result.fail([{ path: PolicyJson.show([...path, "retry_params_name"]), problem: "is missing beside codes" }])
      : Result.succeed({ service, method, timeoutMillis, retry: { codes: settled.codes, params: settled.params } })
  })
}

/** What the overrides name must be there. */
const strangers = (base: Interfaces, over: Interfaces): ReadonlyArray<PolicyJson.Problem> =>
  Object.entries(over).flatMap(([service, { methods }]) => {
    const path = ["overrides", "interfaces", service]
    const known = Object.hasOwn(base, service) ? base[service] : undefined
    if (known === undefined) return [{ path: PolicyJson.show(path), problem: "must be in the config" }]
    return Object.keys(methods ?? {})
      .filter((method) => known.methods === undefined || !Object.hasOwn(known.methods, method))
      .map((method) => ({ path: PolicyJson.show([...path, "methods", method]), problem: "must be in the config" }))
  })

/**
 * Reads a client config from JSON, parsed or as text, and what is written over it.
 *
 * @example
 * import { Result } from "effect"
 * import { GapicConfig } from "trunkline/google"
 *
 * const config = GapicConfig.make({
 *   interfaces: { "demo.Echo": { methods: { Say: { timeout_millis: 1000, retry_codes_name: "idempotent" } } } }
 * })
 * Result.isFailure(config) && config.failure.problems[0]?.path // => 'interfaces["demo.Echo"].methods.Say.retry_codes_name'
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: unknown, overrides?: unknown): Result.Result<GapicConfig, GapicConfigError> =>
  PolicyJson.all([read(input), read(overrides ?? { interfaces: {} }, ["overrides"])]).pipe(
    Result.flatMap(([config, changes]) => {
      const [base, over] = [config.value.interfaces, changes.value.interfaces]
      const methods = Object.entries(base).flatMap(([service, known]) =>
        Object.keys(known.methods ?? {}).map((method) => settle(service, method, known, over[service] ?? nothing))
      )
      return Result.map(PolicyJson.unless(PolicyJson.all(methods), strangers(base, over)), (methods) => ({
        methods,
        unused: [...config.unused, ...changes.unused]
      }))
    }),
    Result.mapError((problems) => new GapicConfigError({ problems }))
  )

// ---------------------------------------------------------------------------------------------------------------------
// What it means
// ---------------------------------------------------------------------------------------------------------------------

/** The time of all attempts is the call's deadline and no limit of its own, so that a call that takes its own wins. */
const policyOf = ({ retry, timeoutMillis }: MethodSettings): MethodPolicy.MethodPolicy =>
  retry === undefined
    ? { limits: "defaults", deadlineMillis: timeoutMillis }
    : {
        limits: "defaults",
        deadlineMillis: retry.params.total_timeout_millis,
        timeoutMillis: retry.params.initial_rpc_timeout_millis,
        timeoutMultiplier: retry.params.rpc_timeout_multiplier,
        maxTimeoutMillis: retry.params.max_rpc_timeout_millis,
        retry: Retry.onCodes(
          retry.codes,
          Backoff.exponential({
            initial: retry.params.initial_retry_delay_millis,
            max: retry.params.max_retry_delay_millis,
            multiplier: retry.params.retry_delay_multiplier
          })
        )
      }

/**
 * The policies of methods. A method that the config does not have is left alone.
 *
 * @category getters
 * @since 0.1.0
 */
export const policies = (self: GapicConfig): MethodPolicy.MethodPolicies => {
  const byPath = new Map(
    self.methods.map((settings) => [`/${settings.service}/${settings.method}`, policyOf(settings)])
  )
  return { for: ({ path }: Method.Any) => byPath.get(path) }
}

/**
 * What will really happen to the calls of each method, as text.
 *
 * @category explaining
 * @since 0.1.0
 */
export const explain = ({ methods, unused }: GapicConfig): string =>
  PolicyText.report(
    methods.map((settings) => ({ names: [`${settings.service}/${settings.method}`], policy: policyOf(settings) })),
    PolicyText.remarkUnused(unused)
  )

/**
 * The policies of the clients above this layer. A config that is wrong does not build.
 *
 * @example
 * import { GapicConfig } from "trunkline/google"
 *
 * const Policies = GapicConfig.layer({
 *   interfaces: {
 *     "demo.Echo": {
 *       retry_codes: { idempotent: ["UNAVAILABLE"], non_idempotent: [] },
 *       retry_params: {
 *         default: {
 *           initial_retry_delay_millis: 100,
 *           retry_delay_multiplier: 1.3,
 *           max_retry_delay_millis: 60000,
 *           initial_rpc_timeout_millis: 20000,
 *           rpc_timeout_multiplier: 1,
 *           max_rpc_timeout_millis: 20000,
 *           total_timeout_millis: 600000
 *         }
 *       },
 *       methods: { Say: { timeout_millis: 60000, retry_codes_name: "idempotent", retry_params_name: "default" } }
 *     }
 *   }
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input: unknown, overrides?: unknown): Layer.Layer<never, GapicConfigError> =>
  Layer.unwrap(Effect.map(Effect.fromResult(make(input, overrides)), (config) => MethodPolicy.layer(policies(config))))

/**
 * The policies of the clients above this layer, with their text read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (config: Config.Config<string>): Layer.Layer<never, GapicConfigError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(config, (text) => layer(text)))
