/**
 * gRPC's service config: the policies of a service's methods, as its owner writes them in JSON.
 *
 * Any gRPC client understands these files, so one file can serve clients in many languages. Here it is read at once and
 * whole: every field that is wrong is named. What it says becomes the same values that a program could have written, one
 * policy for each method, and nothing is quietly made smaller: five attempts are no limit here. Which entry holds for a
 * method is gRPC's rule: the one that names the method, else its service, else nobody.
 *
 * Fields that are not about calls, such as `loadBalancingConfig`, are not used; `unused` names them, and whatever is spelt
 * in a way that nobody knows.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/service_config.md
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { type Config, Data, Duration, Effect, Layer, Predicate, Result, Schema, SchemaParser } from "effect"
import type * as Method from "../call/Method.ts"
import * as Backoff from "../retry/Backoff.ts"
import * as Hedge from "../retry/Hedge.ts"
import * as MethodPolicy from "./MethodPolicy.ts"
import * as PolicyJson from "./PolicyJson.ts"
import * as PolicyText from "./PolicyText.ts"
import * as Pushback from "../retry/Pushback.ts"
import * as Retry from "../retry/Retry.ts"
import * as RetryBudget from "../retry/RetryBudget.ts"
import * as TokenThrottle from "../retry/TokenThrottle.ts"

/**
 * What is wrong with a field, and where.
 *
 * @category models
 * @since 0.1.0
 */
export type { Problem } from "./PolicyJson.ts"

/**
 * A service config that is not one. The problems are all there are.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceConfigError extends Data.TaggedError("ServiceConfigError")<{
  readonly problems: ReadonlyArray<PolicyJson.Problem>
}> {
  override get message(): string {
    return `the service config is wrong: ${this.problems.map(({ path, problem }) => `${path} ${problem}`).join("; ")}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is written
// ---------------------------------------------------------------------------------------------------------------------

const Name = PolicyJson.Fields({
  service: Schema.optionalKey(PolicyJson.Text),
  method: Schema.optionalKey(PolicyJson.Text)
}).check(
  Schema.makeFilter(({ method = "", service = "" }) =>
    method === "" || service !== "" ? undefined : { path: ["service"], issue: "is missing beside a method" }
  )
)

const RetryPolicy = PolicyJson.Fields({
  maxAttempts: PolicyJson.Count(2),
  initialBackoff: PolicyJson.Span,
  maxBackoff: PolicyJson.Span,
  backoffMultiplier: PolicyJson.Positive,
  retryableStatusCodes: PolicyJson.List(PolicyJson.Code).check(
    Schema.isNonEmpty({ message: "must have a code, or nothing is ever retried" })
  )
})

const HedgingPolicy = PolicyJson.Fields({
  maxAttempts: PolicyJson.Count(2),
  hedgingDelay: Schema.optionalKey(PolicyJson.Wait),
  nonFatalStatusCodes: Schema.optionalKey(PolicyJson.List(PolicyJson.Code))
})

const MethodConfig = PolicyJson.Fields({
  name: Schema.optionalKey(PolicyJson.List(Name)),
  waitForReady: Schema.optionalKey(PolicyJson.Flag),
  timeout: Schema.optionalKey(PolicyJson.Wait),
  maxRequestMessageBytes: Schema.optionalKey(PolicyJson.Count(0)),
  maxResponseMessageBytes: Schema.optionalKey(PolicyJson.Count(0)),
  retryPolicy: Schema.optionalKey(RetryPolicy),
  hedgingPolicy: Schema.optionalKey(HedgingPolicy)
})

const Document = PolicyJson.Fields({
  methodConfig: Schema.optionalKey(PolicyJson.List(MethodConfig)),
  retryThrottling: Schema.optionalKey(
    PolicyJson.Fields({ maxTokens: PolicyJson.Count(1, 1000), tokenRatio: PolicyJson.AtLeast(0.001) })
  )
})

/**
 * What holds for some methods.
 *
 * @category models
 * @since 0.1.0
 */
export type MethodConfig = typeof MethodConfig.Type

/**
 * A service config as it was written.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceConfig {
  readonly methodConfig: ReadonlyArray<MethodConfig>
  readonly retryThrottling: TokenThrottle.Options | undefined
  /** The paths of the fields that change nothing here. */
  readonly unused: ReadonlyArray<string>
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

/** The entries, right or wrong: a rule about several fields says what it can though one of them is wrong. */
const entriesOf = (json: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> => {
  const entries = Predicate.hasProperty(json, "methodConfig") ? json.methodConfig : []
  return Array.isArray(entries) ? entries.map((entry) => (Predicate.isObject(entry) ? { ...entry } : {})) : []
}

const eitherPolicy = (json: unknown): ReadonlyArray<PolicyJson.Problem> =>
  entriesOf(json).flatMap(({ hedgingPolicy, retryPolicy }, i) =>
    retryPolicy === undefined || hedgingPolicy === undefined
      ? []
      : [{ path: `methodConfig[${i}].hedgingPolicy`, problem: "must not stand beside a retryPolicy" }]
  )

const keyOf = (service = "", method = ""): string => `${service}/${method}`

const readName = SchemaParser.decodeUnknownResult(Name)

const uniqueNames = (json: unknown): ReadonlyArray<PolicyJson.Problem> => {
  const first = new Map<string, string>()
  return entriesOf(json).flatMap(({ name: names }, i) =>
    (Array.isArray(names) ? names : []).flatMap((written: unknown, j) => {
      const name = readName(written)
      if (Result.isFailure(name)) return []
      const path = `methodConfig[${i}].name[${j}]`
      const key = keyOf(name.success.service, name.success.method)
      const other = first.get(key)
      if (other === undefined) first.set(key, path)
      return other === undefined ? [] : [{ path, problem: `must not repeat ${other}` }]
    })
  )
}

const read = PolicyJson.document(Document, (json) => [...eitherPolicy(json), ...uniqueNames(json)])

/**
 * Reads a service config from JSON, parsed or as text.
 *
 * @example
 * import { Result } from "effect"
 * import { ServiceConfig } from "trunkline"
 *
 * const config = ServiceConfig.make({
 *   methodConfig: [{ name: [{ service: "demo.Echo" }], timeout: "1s", retryPolicy: { maxAttempts: 1 } }]
 * })
 * Result.isFailure(config) && config.failure.problems[0] // => { path: "methodConfig[0].retryPolicy.maxAttempts", problem: "must be a whole number, at least 2" }
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: unknown): Result.Result<ServiceConfig, ServiceConfigError> =>
  Result.mapBoth(read(input), {
    onSuccess: ({ unused, value: { methodConfig = [], retryThrottling } }) => ({
      methodConfig,
      retryThrottling,
      unused
    }),
    onFailure: (problems) => new ServiceConfigError({ problems })
  })

// ---------------------------------------------------------------------------------------------------------------------
// What it means
// ---------------------------------------------------------------------------------------------------------------------

const retryOf = (policy: typeof RetryPolicy.Type): Retry.RetryPolicy =>
  Retry.onCodes(
    policy.retryableStatusCodes,
    Backoff.serviceConfig({
      initial: policy.initialBackoff,
      max: policy.maxBackoff,
      multiplier: policy.backoffMultiplier
    }),
    { pushback: Pushback.exact }
  ).pipe(Retry.maxAttempts(policy.maxAttempts))

const hedgeOf = ({ hedgingDelay, maxAttempts, nonFatalStatusCodes }: typeof HedgingPolicy.Type): Hedge.Hedge => ({
  ...Hedge.make({ after: hedgingDelay ?? Duration.zero, nonFatalCodes: nonFatalStatusCodes }),
  // As it is written: `make` would stop at 5.
  maxAttempts
})

const millisOf = (duration: Duration.Duration | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)

/**
 * The policy of an entry. `waitForReady: false` says no more than nothing does: gRPC's calls then still wait for a
 * connection that is being made, as calls of which nothing is said do here.
 */
const policyOf = (entry: MethodConfig): MethodPolicy.MethodPolicy => ({
  deadlineMillis: millisOf(entry.timeout),
  whenNotReady: entry.waitForReady === true ? "wait" : undefined,
  retry: entry.retryPolicy && retryOf(entry.retryPolicy),
  hedge: entry.hedgingPolicy && hedgeOf(entry.hedgingPolicy),
  maxSendBytes: entry.maxRequestMessageBytes,
  maxReceiveBytes: entry.maxResponseMessageBytes
})

/**
 * The policies of methods, by gRPC's rule: the entry that names the method, else its service, else none of them.
 *
 * @category getters
 * @since 0.1.0
 */
export const policies = (self: ServiceConfig): MethodPolicy.MethodPolicies => {
  const byName = new Map<string, MethodPolicy.MethodPolicy>()
  for (const entry of self.methodConfig) {
    const policy = policyOf(entry)
    for (const { method, service } of entry.name ?? []) byName.set(keyOf(service, method), policy)
  }
  return {
    for: ({ name, service }: Method.Any) =>
      byName.get(keyOf(service, name)) ?? byName.get(keyOf(service)) ?? byName.get(keyOf())
  }
}

const title = ({ method = "", service = "" }: typeof Name.Type): string =>
  service === "" ? "every other method" : method === "" ? `${service}, every other method` : `${service}/${method}`

const tellThrottle = ({ maxTokens, tokenRatio }: TokenThrottle.Options): string =>
  `Retries and copies: while more than ${maxTokens / 2} of ${maxTokens} tokens are left; ` +
  `a failure costs 1, a success earns ${tokenRatio}`

/**
 * What will really happen to the calls of each method, as text.
 *
 * @example
 * import { Result } from "effect"
 * import { ServiceConfig } from "trunkline"
 *
 * const config = ServiceConfig.make({
 *   methodConfig: [{ name: [{ service: "demo.Echo", method: "Say" }], timeout: "1.5s" }],
 *   loadBalancingConfig: [{ round_robin: {} }]
 * })
 * const text = Result.map(config, ServiceConfig.explain)
 * Result.getOrThrow(text) // => "demo.Echo/Say\n  whole call: at most 1s 500ms\nNot used: loadBalancingConfig"
 *
 * @category explaining
 * @since 0.1.0
 */
export const explain = ({ methodConfig, retryThrottling, unused }: ServiceConfig): string =>
  PolicyText.report(
    methodConfig.flatMap((entry) =>
      entry.name === undefined || entry.name.length === 0
        ? []
        : [{ names: entry.name.map(title), policy: policyOf(entry) }]
    ),
    [...(retryThrottling === undefined ? [] : [tellThrottle(retryThrottling)]), ...PolicyText.remarkUnused(unused)]
  )

/**
 * The policies of the clients above this layer, and their retry budget if the config has `retryThrottling`. A config that
 * is wrong does not build.
 *
 * @example
 * import { ServiceConfig } from "trunkline"
 *
 * const Policies = ServiceConfig.layer({
 *   methodConfig: [
 *     { name: [{}], timeout: "10s" },
 *     {
 *       name: [{ service: "demo.Echo", method: "Say" }],
 *       timeout: "1s",
 *       retryPolicy: {
 *         maxAttempts: 4,
 *         initialBackoff: "0.1s",
 *         maxBackoff: "1s",
 *         backoffMultiplier: 2,
 *         retryableStatusCodes: ["UNAVAILABLE"]
 *       }
 *     }
 *   ],
 *   retryThrottling: { maxTokens: 10, tokenRatio: 0.1 }
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input: unknown): Layer.Layer<never, ServiceConfigError> =>
  Layer.unwrap(
    Effect.map(Effect.fromResult(make(input)), (config) =>
      Layer.merge(
        MethodPolicy.layer(policies(config)),
        config.retryThrottling === undefined
          ? Layer.empty
          : RetryBudget.layer(TokenThrottle.make(config.retryThrottling))
      )
    )
  )

/**
 * The policies of the clients above this layer, with their text read from configuration.
 *
 * @example
 * import { Config } from "effect"
 * import { ServiceConfig } from "trunkline"
 *
 * const Policies = ServiceConfig.layerConfig(Config.String("GRPC_SERVICE_CONFIG"))
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Config<string>
): Layer.Layer<never, ServiceConfigError | Config.ConfigError> => Layer.unwrap(Effect.map(config, layer))
