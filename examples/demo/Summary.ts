/** What a run came to, in text. */
import { RpcError } from "trunkline"
import { type Faults, phases } from "./Faults.ts"
import { Histogram } from "./Histogram.ts"
import type { Journal, Phase } from "./Journal.ts"
import type { Paint } from "./Paint.ts"
import type { Watched } from "./Peers.ts"
import { longestReconnect } from "./Pool.ts"
import * as Table from "./Table.ts"
import { fit, millis, percent, type Row } from "./Table.ts"

const columns = (cells: ReadonlyArray<string>): string =>
  cells.map((cell, i) => (i === 0 ? fit(cell, 16) : cell.padStart(8))).join(" ")

interface Line {
  readonly name: string
  readonly millis: number
  readonly calls: number
  readonly failed: number
  readonly retries: number
  readonly latency: Histogram
}

const line = ({ calls, failed, latency, millis: length, name, retries }: Line): string =>
  columns([
    name,
    (length / 1000).toFixed(1),
    String(calls),
    String(failed),
    String(retries),
    millis(latency.percentile(50)),
    millis(latency.percentile(99)),
    millis(latency.percentile(99.9))
  ])

/** A line for each phase, and one for all of them. */
const table = (journal: Journal, end: number, paint: Paint): ReadonlyArray<string> => {
  const lines = journal.phases.map((phase, i): Line => ({
    name: phase.name,
    millis: (journal.phases[i + 1]?.start ?? end) - phase.start,
    calls: phase.calls,
    failed: phase.failed,
    retries: phase.retries,
    latency: phase.latency
  }))
  const all: Line = {
    name: "all",
    millis: end,
    calls: journal.sum((phase) => phase.calls),
    failed: journal.sum((phase) => phase.failed),
    retries: journal.sum((phase) => phase.retries),
    latency: journal.phases.reduce((sum, { latency }) => sum.add(latency), new Histogram())
  }
  return [
    paint.bold(columns(["phase", "seconds", "calls", "failed", "retries", "p50 ms", "p99 ms", "p99.9 ms"])),
    ...(lines.length === 1 ? [] : lines.map(line)),
    line(all)
  ]
}

const retries = ({ retries }: Journal): string =>
  retries.size === 0
    ? "no attempt was made twice"
    : `tried again after ${[...retries].map(([code, times]) => `${code} (${times})`).join(", ")}`

const after = (later: number | undefined, earlier: number): string =>
  later === undefined ? "never" : `${((later - earlier) / 1000).toFixed(3)} s`

const answeredAfter = (later: number | undefined, earlier: number): string =>
  later === undefined ? "answered nothing after" : `answered its first call ${after(later, earlier)} after`

const attempts = (count: number): string => (count === 1 ? "1 attempt" : `${count} attempts`)

/** A finished run. */
export interface Report {
  readonly journal: Journal
  /** Milliseconds. */
  readonly end: number
  readonly rows: ReadonlyArray<Row>
  readonly peers: ReadonlyArray<Watched>
  readonly faults: Faults | undefined
}

/** What each fault did, as the peers and the attempts tell it. */
const findings = ({ journal, peers }: Report, { frozen, killed, listening = 0 }: Faults): ReadonlyArray<string> => {
  const phase = (name: string): Phase => journal.phases.find((phase) => phase.name === name)!
  const dead = peers.find(({ name }) => name === killed.name)!
  const kill = phase(phases.killed)
  const out = dead.history.find(({ at, state }) => at >= kill.start && state !== "Ready")
  const back = dead.history.find(({ at, state }) => at >= phase(phases.restarted).start && state === "Ready")
  const answered = [phases.restarted, phases.frozen, phases.thawed].flatMap(
    (name) => phase(name).of(dead.peer.id).answered ?? []
  )[0]
  const underWay = phase(phases.before).of(dead.peer.id).cutOff
  const meanwhile = kill.of(dead.peer.id).failed
  const late = (back?.started ?? dead.peer.stats.started) - (out?.started ?? 0)

  const still = peers.find(({ name }) => name === frozen.name)!
  const [freeze, thaw] = [phase(phases.frozen), phase(phases.thawed)]
  const cold = freeze.of(still.peer.id)
  const warm = thaw.of(still.peer.id)
  return [
    `${dead.name} left the pick set ${after(out?.at, kill.start)} after SIGKILL, when its connection broke:`,
    `  ${attempts(underWay)} under way and ${meanwhile} sent meanwhile failed; ${late} were sent after that`,
    `${dead.name} was ready ${after(back?.at, listening)} after it listened again (asked every ${longestReconnect / 1000} s at least)`,
    `  and ${answeredAfter(answered, listening)} it listened`,
    `${still.name} got ${cold.attempts} of ${attempts(freeze.attempts)} while frozen, ${percent(cold.attempts / Math.max(1, freeze.attempts), 2)}; ${cold.failed} failed`,
    `  and ${warm.attempts} of ${thaw.attempts} once thawed; it ${answeredAfter(warm.answered, thaw.start)} SIGCONT`
  ]
}

/** An error, and why it was not tried again. */
const whole = (error: unknown): string =>
  RpcError.isRpcError(error) && error.stopped !== undefined ? `${String(error)} (${error.stopped})` : String(error)

export const render = (report: Report, paint: Paint): string => {
  const { end, faults, journal, rows } = report
  return [
    "",
    ...table(journal, end, paint),
    "",
    ...Table.backends(rows, paint),
    "",
    ...(faults === undefined ? [] : findings(report, faults)),
    retries(journal),
    ...(journal.failure === undefined ? [] : [paint.bad(`first failure: ${whole(journal.failure)}`)])
  ].join("\n")
}
