/**
 * Named lists of endpoints as users write them, and what is made of them.
 *
 * A list that cannot work is refused before anything is opened or changed, with the place of the problem in the message, so
 * a bad update leaves the lists in force as they are.
 */
import { Duration, Option, Result } from "effect"
import * as Endpoint from "../discovery/Endpoint.ts"
import type { Connector } from "../transport/Connector.ts"
import type { ErrorRate } from "./ErrorRate.ts"
import { InvalidMultiEndpoints } from "./MultiEndpointError.ts"
import type { Settings } from "./MultiEndpointState.ts"

/**
 * An endpoint: its address, `host:port` or a gRPC target, and how it is connected to. Credentials are the connector's:
 * another connector for the same address replaces the pool there once the new one is ready.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backend {
  readonly address: string
  /** Default the connector of the context. The first list that names one for an address decides. */
  readonly connector?: Connector["Service"] | undefined
}

/**
 * When to leave an endpoint that answers connections and fails calls, and when to use it again.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorRateOptions {
  /** How long calls are counted before they are judged. Default 1 minute. */
  readonly period?: Duration.Input | undefined
  /** Fewer failures in a period say nothing. Default 3. */
  readonly minFailures?: number | undefined
  /** The share of failures, above 0 to 1, at which the endpoint is left. Default 1: all calls. */
  readonly rate?: number | undefined
  /** How long from one probe to the next while it is left. Default 10 seconds. */
  readonly probeInterval?: Duration.Input | undefined
  /** How many probes in a row must be good before it is used again. Default 3. */
  readonly minProbes?: number | undefined
  /** How long they must have been good. Default 1 minute. */
  readonly minHealthy?: Duration.Input | undefined
}

/**
 * A named list of endpoints; the first has the highest priority.
 *
 * @category models
 * @since 0.1.0
 */
export interface List {
  readonly name: string
  readonly endpoints: ReadonlyArray<string | Backend>
  /** How long an endpoint that went down may take to come back before others take over. Default 0. */
  readonly recoveryTimeout?: Duration.Input | undefined
  /** How long calls stay where they still work when something better is available. Default 0. */
  readonly switchingDelay?: Duration.Input | undefined
  /** The share of the switching delay, 0 to 1, that is added at random. Default 0. */
  readonly switchingJitter?: number | undefined
  /** Also leaves an endpoint whose calls fail. Default off. */
  readonly errorRate?: ErrorRateOptions | undefined
}

/**
 * A list that has been read: endpoints by id.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadList {
  readonly name: string
  readonly endpoints: ReadonlyArray<string>
  readonly settings: Settings
}

/**
 * An endpoint that has been read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadBackend {
  readonly endpoint: Endpoint.Endpoint
  readonly connector: Connector["Service"] | undefined
}

/**
 * Lists that have been read, and every endpoint they name, by id.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadLists {
  readonly lists: ReadonlyArray<ReadList>
  readonly backends: ReadonlyMap<string, ReadBackend>
}

type Read<A> = Result.Result<A, InvalidMultiEndpoints>

const fail = (path: string, problem: string): Read<never> => Result.fail(new InvalidMultiEndpoints({ path, problem }))

const readMillis = (path: string, input: Duration.Input | undefined, otherwise: Duration.Input): Read<number> => {
  const millis = Option.map(Duration.fromInput(input ?? otherwise), Duration.toMillis)
  return Option.isSome(millis) && millis.value >= 0 && Number.isFinite(millis.value)
    ? Result.succeed(millis.value)
    : fail(path, "is not a finite duration of 0 or more")
}

const readPositive = (path: string, input: Duration.Input | undefined, otherwise: Duration.Input): Read<number> =>
  Result.flatMap(readMillis(path, input, otherwise), (millis) =>
    millis > 0 ? Result.succeed(millis) : fail(path, "must be longer than 0")
  )

const readCount = (path: string, input: number | undefined, otherwise: number): Read<number> => {
  const count = input ?? otherwise
  return Number.isInteger(count) && count >= 1
    ? Result.succeed(count)
    : fail(path, "is not a whole number of 1 or more")
}

const readErrorRate = (path: string, options: ErrorRateOptions): Read<ErrorRate> =>
  Result.gen(function* () {
    const rate = options.rate ?? 1
    if (!(rate > 0 && rate <= 1)) return yield* fail(`${path}.rate`, "is not above 0 and at most 1")
    return {
      rate,
      periodMillis: yield* readPositive(`${path}.period`, options.period, "1 minute"),
      minFailures: yield* readCount(`${path}.minFailures`, options.minFailures, 3),
      probeIntervalMillis: yield* readPositive(`${path}.probeInterval`, options.probeInterval, "10 seconds"),
      minProbes: yield* readCount(`${path}.minProbes`, options.minProbes, 3),
      minHealthyMillis: yield* readMillis(`${path}.minHealthy`, options.minHealthy, "1 minute")
    }
  })

const readSettings = (path: string, list: List): Read<Settings> =>
  Result.gen(function* () {
    const jitter = list.switchingJitter ?? 0
    if (!(jitter >= 0 && jitter <= 1)) return yield* fail(`${path}.switchingJitter`, "is not from 0 to 1")
    return {
      jitter,
      recoveryMillis: yield* readMillis(`${path}.recoveryTimeout`, list.recoveryTimeout, 0),
      switchingMillis: yield* readMillis(`${path}.switchingDelay`, list.switchingDelay, 0),
      errorRate: list.errorRate === undefined ? undefined : yield* readErrorRate(`${path}.errorRate`, list.errorRate)
    }
  })

/**
 * Reads lists; `port` is for addresses that name none.
 *
 * @category conversions
 * @since 0.1.0
 */
export const read = (lists: ReadonlyArray<List>, port: number): Read<ReadLists> =>
  Result.gen(function* () {
    if (lists.length === 0) return yield* fail("", "there is no list")
    const backends = new Map<string, ReadBackend>()
    const names = new Set<string>()
    const read: Array<ReadList> = []
    for (const [i, list] of lists.entries()) {
      const path = `[${i}]`
      if (list.name === "") return yield* fail(`${path}.name`, "must not be empty")
      if (names.has(list.name)) return yield* fail(`${path}.name`, `${JSON.stringify(list.name)} is taken`)
      names.add(list.name)
      if (list.endpoints.length === 0) return yield* fail(`${path}.endpoints`, "must not be empty")
      const ids: Array<string> = []
      for (const [j, written] of list.endpoints.entries()) {
        const { address, connector }: Backend = typeof written === "string" ? { address: written } : written
        const endpoint = Endpoint.parse(address, { port })
        if (Result.isFailure(endpoint)) return yield* fail(`${path}.endpoints[${j}]`, endpoint.failure.message)
        const { id } = endpoint.success
        backends.set(id, { endpoint: endpoint.success, connector: backends.get(id)?.connector ?? connector })
        ids.push(id)
      }
      read.push({ name: list.name, endpoints: ids, settings: yield* readSettings(path, list) })
    }
    return { lists: read, backends }
  })
