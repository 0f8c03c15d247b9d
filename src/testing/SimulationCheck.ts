/**
 * What is wrong with what a simulation was asked for.
 */
import { Data, Duration, Option } from "effect"
import type { Options } from "./SimulationOptions.ts"

/**
 * A simulation that cannot be. The message names the field.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSimulation extends Data.TaggedError("InvalidSimulation")<{
  /** Such as `servers[1].atOnce`. */
  readonly field: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

const millisOf = (input: Duration.Input): number =>
  typeof input === "number"
    ? input
    : Option.match(Duration.fromInput(input), { onNone: () => NaN, onSome: Duration.toMillis })

/** The first field that cannot be. */
export const check = ({ clients, drain, duration, servers }: Options): InvalidSimulation | undefined => {
  let found: InvalidSimulation | undefined
  const need = (holds: boolean, field: string, problem: string): void => {
    if (!holds) found ??= new InvalidSimulation({ field, problem })
  }
  const total = millisOf(duration)
  need(total > 0 && total < Infinity, "duration", "a time above 0 that has an end is needed")
  need(millisOf(drain ?? 0) >= 0, "drain", "a time from 0 on is needed")
  need(servers.length > 0, "servers", "at least one server is needed")
  servers.forEach(({ atOnce = 1, faults = [], joins = 0, leaves = Infinity, takes, weight = 1 }, i) => {
    const at = `servers[${i}]`
    need(typeof takes === "function" || millisOf(takes) >= 0, `${at}.takes`, "a time from 0 on is needed")
    need(atOnce >= 1, `${at}.atOnce`, "1 or more is needed")
    need(weight >= 0 && weight < Infinity, `${at}.weight`, "0 or more, and a finite number, is needed")
    need(millisOf(joins) >= 0, `${at}.joins`, "a time from 0 on is needed")
    need(millisOf(leaves) >= millisOf(joins), `${at}.leaves`, "a time from joins on is needed")
    faults.forEach((fault, j) => {
      need(fault.from >= 0, `${at}.faults[${j}].from`, "a time from 0 on is needed")
      need(fault.to >= fault.from, `${at}.faults[${j}].to`, "a time from its beginning on is needed")
      const share = fault._tag === "Failing" ? fault.share : 0
      need(share >= 0 && share <= 1, `${at}.faults[${j}].share`, "a number from 0 to 1 is needed")
    })
  })
  clients.forEach(({ callsPerSecond }, i) =>
    need(
      callsPerSecond > 0 && callsPerSecond < Infinity,
      `clients[${i}].callsPerSecond`,
      "a number above 0 that has an end is needed"
    )
  )
  return found
}
