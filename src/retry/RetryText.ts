/**
 * The behaviour of a retry policy, as data.
 *
 * A policy is a composed function that cannot be inspected, but it can be run. This module runs it against every code, with
 * a clock that is set by hand and with the lowest and the highest random numbers, and records the delays. So any policy can
 * be explained. Each error is described alone; a run of different errors combines these. The effects of a policy run, too.
 */
import { Clock, Duration, Effect, Exit, Option, Pull, Random, Schedule } from "effect"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import * as HttpStatus from "./HttpStatus.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

/**
 * The bounds of a delay.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delay {
  readonly min: Duration.Duration
  readonly max: Duration.Duration
}

/**
 * What a policy does about some errors, which it treats alike.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rule {
  /**
   * Codes, and what fares otherwise than its code: an HTTP status, as `HTTP 503`, and `transient INTERNAL`, which is what
   * `isTransientInternal` knows.
   */
  readonly on: ReadonlyArray<string>
  /** At most so many, the first included; `Infinity` if no limit was found in a thousand. */
  readonly attempts: number
  /** The delays in order, up to where they stay as they are: the last one repeats. */
  readonly delays: ReadonlyArray<Delay>
  /** No attempt begins later than this after the start; `undefined` if there is no such time. */
  readonly total: Duration.Duration | undefined
  readonly pushback: {
    /** Whether the server's wish for no further attempt is granted. */
    readonly stops: boolean
    /** Whether a delay the server asks for is slept, and the longest that is; `undefined` if it is not slept. */
    readonly longest: Duration.Duration | undefined
    /** Whether the delays start anew after it. */
    readonly restarts: boolean
  }
}

/**
 * What a policy does about every error.
 *
 * @category models
 * @since 0.1.0
 */
export interface Description {
  readonly rules: ReadonlyArray<Rule>
  /** Named as in a rule. */
  readonly notRetried: ReadonlyArray<string>
  /** Whether a certificate or a login that failed while connecting, which is `UNAVAILABLE`, is retried too. */
  readonly retriesPermanent: boolean
  /** Those for which the policy waits or throws before it answers. */
  readonly unknown: ReadonlyArray<string>
}

/** The most errors that a policy is run against. */
const maxErrors = 1000

/** The latest failure that a policy is run against, in milliseconds: 100 years. */
const maxMillis = 100 * 365 * 86_400_000

/** The longest pushback there is, in milliseconds. */
const maxPushbackMillis = 2 ** 31 - 1

type Treatment = Omit<Rule, "on">

const sameDelay = (a: Delay, b: Delay): boolean => Duration.equals(a.min, b.min) && Duration.equals(a.max, b.max)

/** Dice that always fall the same. */
const dice = (draw: number): Random.Random => ({
  nextDoubleUnsafe: () => draw,
  nextIntUnsafe: () => Math.round((2 * draw - 1) * Number.MAX_SAFE_INTEGER)
})
const lowest = dice(0)
const highest = dice(1 - 2 ** -53)

/** A clock that stands where it is put. */
class StandingClock implements Clock.Clock {
  now = 0
  currentTimeMillisUnsafe(): number {
    return this.now
  }
  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.now) * 1_000_000n
  }
  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = this.currentTimeNanos
  sleep(): Effect.Effect<void> {
    return Effect.never
  }
}

type Delays = ReadonlyArray<Duration.Duration>

interface Question {
  /** The errors, one after the other. */
  readonly errors: ReadonlyArray<RpcError.RpcError>
  readonly random: Random.Random
  /** When the last error comes, in milliseconds; those before it come at the start, as this does unless told. */
  readonly lastAt?: number | undefined
}

/** The policy's delays until it stops or has answered every error. */
const ask = Effect.fnUntraced(function* (policy: RetryPolicy, { errors, lastAt = 0, random }: Question) {
  const clock = new StandingClock()
  const delays: Array<Duration.Duration> = []
  yield* Effect.gen(function* () {
    const step = yield* Schedule.toStep(policy)
    for (const [i, error] of errors.entries()) {
      if (i === errors.length - 1) clock.now = lastAt
      const delay = yield* step(clock.now, error).pipe(
        Effect.map(([, delay]) => delay),
        Pull.catchDone(() => Effect.undefined)
      )
      if (delay === undefined) return
      delays.push(delay)
    }
  }).pipe(Effect.provideService(Clock.Clock, clock), Effect.provideService(Random.Random, random))
  return delays as Delays
})

/** The lowest and the highest answers to the same errors. */
const bounds = (policy: RetryPolicy, errors: ReadonlyArray<RpcError.RpcError>) =>
  Effect.all([ask(policy, { errors, random: lowest }), ask(policy, { errors, random: highest })])

const times = (count: number, error: RpcError.RpcError) => Array.from({ length: count }, () => error)

/** The latest that an attempt begins: found by asking when a failure is too late. */
const totalOf = Effect.fnUntraced(function* (policy: RetryPolicy, error: RpcError.RpcError, attempts: number) {
  const errors = times(Math.min(2, attempts - 1), error)
  /** When the next attempt begins if the last of these failures comes at this time; nothing if none does. */
  const nextAt = (lastAt: number) =>
    Effect.map(ask(policy, { errors, random: lowest, lastAt }), (delays) =>
      delays.length < errors.length ? undefined : lastAt + Duration.toMillis(delays[errors.length - 1]!)
    )
  let [inTime, tooLate] = [0, maxMillis]
  if ((yield* nextAt(tooLate)) !== undefined) return undefined
  while (tooLate - inTime > 1) {
    const middle = Math.floor((inTime + tooLate) / 2)
    if ((yield* nextAt(middle)) === undefined) tooLate = middle
    else inTime = middle
  }
  return Duration.millis(Math.ceil((yield* nextAt(inTime)) ?? 0))
})

const pushedBack = (error: RpcError.RpcError, value: string): RpcError.RpcError =>
  RpcError.annotate(error, { trailers: new Map([["grpc-retry-pushback-ms", [value]]]) })

const pushbackOf = Effect.fnUntraced(function* (
  policy: RetryPolicy,
  error: RpcError.RpcError,
  { attempts, delays, total }: Pick<Rule, "attempts" | "delays" | "total">
) {
  const answers = (value: string) =>
    Effect.map(bounds(policy, [pushedBack(error, value)]), (both) => both.map(([delay]) => delay))
  /** Whether a wish is granted to the millisecond, however the dice fall. */
  const grants = (millis: number) =>
    Effect.map(answers(String(millis)), (both) =>
      both.every((delay) => delay !== undefined && Duration.toMillis(delay) === millis)
    )
  const stops = (yield* answers("-1")).every((delay) => delay === undefined)
  if (!((yield* grants(0)) && (yield* grants(1)))) return { stops, longest: undefined, restarts: false }

  const [most] = yield* answers(String(maxPushbackMillis))
  const longest = most === undefined ? total : Duration.toMillis(most) < maxPushbackMillis ? most : undefined
  const after = yield* bounds(policy, [pushedBack(error, "1"), error])
  const first = delays[0]!
  return {
    stops,
    longest: longest ?? Duration.infinity,
    restarts:
      attempts < 3 ||
      after.every(([, delay], i) => delay === undefined || Duration.equals(delay, i === 0 ? first.min : first.max))
  }
})

/** What the policy does about this error; nothing if it does not retry it. */
const ruleOf = Effect.fnUntraced(function* (policy: RetryPolicy, error: RpcError.RpcError) {
  if ((yield* ask(policy, { errors: [error], random: lowest })).length === 0) return Option.none<Treatment>()
  const [low, high] = yield* bounds(policy, times(maxErrors, error))
  const count = Math.max(low.length, high.length)
  const attempts = count === maxErrors ? Infinity : count + 1
  const total = yield* totalOf(policy, error, attempts)
  const all = Array.from({ length: count }, (_, i): Delay => {
    // Where one of them has no time left for its delay, what is left bounds it.
    const min = low[i] ?? high[i]!
    return { min, max: high[i] ?? total ?? min }
  })
  const last = all[count - 1]!
  const changes = all.findLastIndex((delay) => !sameDelay(delay, last))
  const delays = all.slice(0, changes + 2)
  const facts = { attempts, delays, total }
  return Option.some<Treatment>({ ...facts, pushback: yield* pushbackOf(policy, error, facts) })
})

type Named = readonly [name: string, error: RpcError.RpcError]

const plain = Code.all.map((code): Named => [code, RpcError.make(code, "", { origin: "remote" })])
/** Errors that say more than their codes. */
const special: ReadonlyArray<Named> = [
  ["transient INTERNAL", RpcError.make("INTERNAL", "unexpected EOF", { origin: "remote" })],
  ...Array.from({ length: 200 }, (_, i): Named => [`HTTP ${400 + i}`, HttpStatus.toError(400 + i, "")])
]
const expired = RpcError.make("UNAVAILABLE", "certificate has expired")

/**
 * What a policy does, as data.
 *
 * @category explaining
 * @since 0.1.0
 */
export const describe = (policy: RetryPolicy): Description => {
  /** What cannot be told at once, or throws, is no answer. */
  const answer = <A>(question: Effect.Effect<A>): A | undefined =>
    Option.getOrUndefined(Exit.getSuccess(Effect.runSyncExit(question)))
  const first = (error: RpcError.RpcError) =>
    answer(Effect.map(bounds(policy, [error]), (both) => both.flat().map(Duration.format).join()))

  const firsts = new Map(plain.map(([code, error]) => [code, first(error)]))
  const telling = special.filter(([, error]) => first(error) !== firsts.get(error.code))

  const rules = new Map<string, { readonly on: Array<string>; readonly treatment: Treatment }>()
  const notRetried: Array<string> = []
  const unknown: Array<string> = []
  for (const [name, error] of [...plain, ...telling]) {
    const rule = answer(ruleOf(policy, error))
    if (rule === undefined) unknown.push(name)
    else if (Option.isNone(rule)) notRetried.push(name)
    else {
      const key = JSON.stringify(rule.value)
      const alike = rules.get(key)
      if (alike === undefined) rules.set(key, { on: [name], treatment: rule.value })
      else alike.on.push(name)
    }
  }
  return {
    rules: Array.from(rules.values(), ({ on, treatment }) => ({ on, ...treatment })),
    notRetried,
    unknown,
    retriesPermanent: (first(expired) ?? "") !== ""
  }
}
