/**
 * The policy of a method as text: a line for each setting, and the explanation of its retry policy.
 */
import { Duration } from "effect"
import * as Explain from "../retry/Explain.ts"
import type { Hedge } from "../retry/Hedge.ts"
import type { MethodPolicy } from "./MethodConfig.ts"

const indent = (text: string): ReadonlyArray<string> => text.split("\n").map((line) => `  ${line}`)

const formatMillis = (millis: number): string => Duration.format(Duration.millis(millis))

const timeoutLines = ({
  maxTimeoutMillis = Infinity,
  timeoutMillis = Infinity,
  timeoutMultiplier = 1
}: MethodPolicy) => {
  if (timeoutMillis === Infinity) return []
  const first = `each attempt: at most ${formatMillis(Math.min(timeoutMillis, maxTimeoutMillis))}`
  if (timeoutMultiplier <= 1 || timeoutMillis >= maxTimeoutMillis) return [first]
  const bound = maxTimeoutMillis === Infinity ? "" : ` up to ${formatMillis(maxTimeoutMillis)}`
  return [`${first}, growing x${timeoutMultiplier}${bound}`]
}

const hedgeLines = ({ after, maxAttempts, nonFatalCodes }: Hedge): ReadonlyArray<string> => [
  `hedged: at most ${maxAttempts} copies, the next after ${
    typeof after === "number" ? formatMillis(after) : `percentile ${after.percentile} of the latency`
  }`,
  nonFatalCodes.size === 0
    ? "  any error is final"
    : `  at once after ${[...nonFatalCodes].join(", ")}; other errors are final`
]

const whenNotReady = {
  wait: ["with no peer ready: waits as long as the call may take"],
  fail: ["with no peer ready: fails, once all have been tried"]
} as const

/**
 * What a policy does, as text.
 *
 * @example
 * import { MethodPolicy } from "trunkline"
 *
 * MethodPolicy.explain(MethodPolicy.make({ deadline: "1.5 seconds", whenNotReady: "fail" })).split("\n")[0] // => "whole call: at most 1s 500ms"
 *
 * @category explaining
 * @since 0.1.0
 */
export const explain = (policy: MethodPolicy): string => {
  const { deadlineMillis, hedge, maxReceiveBytes, maxSendBytes, retry } = policy
  const isHedged = hedge !== undefined && hedge.maxAttempts > 1
  const lines = [
    ...(deadlineMillis === undefined ? [] : [`whole call: at most ${formatMillis(deadlineMillis)}`]),
    ...timeoutLines(policy),
    ...(policy.whenNotReady === undefined ? [] : whenNotReady[policy.whenNotReady]),
    ...(maxSendBytes === undefined ? [] : [`largest request: ${maxSendBytes} bytes`]),
    ...(maxReceiveBytes === undefined ? [] : [`largest response: ${maxReceiveBytes} bytes`]),
    ...(isHedged ? hedgeLines(hedge) : []),
    ...(retry === undefined || isHedged ? [] : ["retried:", ...indent(Explain.explain(retry))])
  ]
  return lines.length === 0 ? "as the client says" : lines.join("\n")
}

/**
 * The policies of some methods, each under their names, and what else is to be said.
 *
 * @category explaining
 * @since 0.1.0
 */
export const report = (
  entries: ReadonlyArray<{ readonly names: ReadonlyArray<string>; readonly policy: MethodPolicy }>,
  remarks: ReadonlyArray<string>
): string => [...entries.flatMap(({ names, policy }) => [...names, ...indent(explain(policy))]), ...remarks].join("\n")

/**
 * A remark on fields that change nothing.
 *
 * @category explaining
 * @since 0.1.0
 */
export const remarkUnused = (paths: ReadonlyArray<string>): ReadonlyArray<string> =>
  paths.length === 0 ? [] : [`Not used: ${paths.join(", ")}`]
