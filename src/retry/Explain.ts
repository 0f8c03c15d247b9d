/**
 * The behaviour of a retry policy as text: a few lines for each group of errors that it treats alike.
 */
import { Duration } from "effect"
import { type Delay, describe, type Rule } from "./RetryText.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

const formatDuration = (self: Duration.Duration): string => {
  const millis = Duration.toMillis(self)
  const short = (value: number) => String(Number(value.toPrecision(4)))
  if (millis >= 60_000) return Duration.format(Duration.millis(Math.round(millis)))
  if (millis >= 1000) return `${short(millis / 1000)}s`
  return millis >= 0.01 || millis === 0 ? `${short(millis)}ms` : `${short(millis * 1e6)}ns`
}

const formatDelay = ({ max, min }: Delay): string =>
  Duration.equals(min, max) ? formatDuration(min) : `${formatDuration(min)} to ${formatDuration(max)}`

/** How many delays are listed one by one. */
const maxListed = 4

const formatDelays = ({ attempts, delays }: Rule): string => {
  const last = formatDelay(delays.at(-1)!)
  const before = delays.slice(0, -1).map(formatDelay)
  const repeats = delays.length < attempts - 1
  if (before.length === 0) return repeats ? `${last} each` : last
  if (before.length > maxListed) before.splice(maxListed, Infinity, "and so on")
  return [...before, repeats ? `then ${last} each` : `then ${last}`].join(", ")
}

const formatPushback = ({ pushback: { longest, restarts, stops } }: Rule): string => {
  if (longest === undefined) return stops ? "only a wish for no further attempt is granted" : "not listened to"
  const bound = Duration.isFinite(longest) ? `, at most ${formatDuration(longest)}` : ""
  const after = restarts ? ", and the delays start anew" : ""
  return `slept as asked${bound}${after}; ${stops ? "stops if asked" : "does not stop"}`
}

/**
 * What a policy does, as text.
 *
 * @example
 * import { Schedule } from "effect"
 * import { Retry } from "trunkline"
 *
 * const policy = Retry.onCodes(["ABORTED"], Schedule.spaced("1 second")).pipe(Retry.maxAttempts(3))
 * Retry.explain(policy).split("\n").slice(0, 3) // => ["ABORTED", "  attempts: at most 3", "  delays: 1s each"]
 *
 * @category explaining
 * @since 0.1.0
 */
export const explain = (policy: RetryPolicy): string => {
  const { notRetried, retriesPermanent, rules, unknown } = describe(policy)
  const retriesUnavailable = rules.some(({ on }) => on.includes("UNAVAILABLE"))
  return [
    ...rules.flatMap((rule) => [
      rule.on.join(", "),
      `  attempts: ${Number.isFinite(rule.attempts) ? `at most ${rule.attempts}` : "without limit"}`,
      `  delays: ${formatDelays(rule)}`,
      `  time: ${rule.total === undefined ? "without limit" : `the last attempt begins ${formatDuration(rule.total)} after the start at the latest`}`,
      `  pushback: ${formatPushback(rule)}`
    ]),
    ...(retriesUnavailable ? [`Certificate and login failures: ${retriesPermanent ? "retried" : "not retried"}`] : []),
    ...(notRetried.length > 0 ? [`Not retried: ${notRetried.join(", ")}`] : []),
    ...(unknown.length > 0 ? [`Not known before it happens: ${unknown.join(", ")}`] : [])
  ].join("\n")
}
