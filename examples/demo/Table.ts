/** A run as it is now, in text: a table for a terminal, a line for a log. */
import type { PeerStatus } from "trunkline/extend"
import type { Paint } from "./Paint.ts"

/** One backend. Latencies are milliseconds. */
export interface Row {
  readonly name: string
  /** What the demo did to it. */
  readonly note: string
  readonly state: PeerStatus.State
  readonly inFlight: number
  readonly calls: number
  readonly share: number | undefined
  readonly p50: number | undefined
  readonly p99: number | undefined
  readonly failed: number
}

export interface Frame {
  /** Milliseconds. */
  readonly elapsed: number
  readonly seconds: number
  readonly phase: string
  readonly calls: number
  readonly failed: number
  readonly retries: number
  readonly rows: ReadonlyArray<Row>
}

/** Three digits of it, or four where there are four. */
export const millis = (value: number | undefined): string =>
  value === undefined ? "-" : value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)

export const percent = (share: number | undefined, digits = 1): string =>
  share === undefined ? "-" : `${(share * 100).toFixed(digits)}%`

/** As much of a name as there is room for. */
export const fit = (text: string, width: number): string =>
  text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`

/** All of them are 80 wide, with a space between. */
const widths = { name: 22, state: 10, inFlight: 9, calls: 8, share: 6, p50: 6, p99: 6, failed: 6 }

const stateOf = (state: PeerStatus.State, paint: Paint): string => {
  const text = fit(state.toLowerCase(), widths.state)
  return state === "Ready" ? paint.good(text) : state === "Connecting" ? paint.busy(text) : paint.bad(text)
}

const header = [
  fit("backend", widths.name),
  fit("state", widths.state),
  "in flight".padStart(widths.inFlight),
  "calls".padStart(widths.calls),
  "share".padStart(widths.share),
  "p50 ms".padStart(widths.p50),
  "p99 ms".padStart(widths.p99),
  "failed".padStart(widths.failed)
].join(" ")

const row = (of: Row, paint: Paint): string => {
  const failed = String(of.failed).padStart(widths.failed)
  const name = fit(of.note === "" ? of.name : `${of.name} (${of.note})`, widths.name)
  return [
    of.note === "" ? name : paint.bad(name),
    stateOf(of.state, paint),
    String(of.inFlight).padStart(widths.inFlight),
    String(of.calls).padStart(widths.calls),
    percent(of.share).padStart(widths.share),
    millis(of.p50).padStart(widths.p50),
    millis(of.p99).padStart(widths.p99),
    of.failed === 0 ? failed : paint.bad(failed)
  ].join(" ")
}

const barWidth = 40

const bar = ({ elapsed, seconds }: Frame): string => {
  const done = Math.min(barWidth, Math.floor((elapsed / (seconds * 1000)) * barWidth))
  return `[${"=".repeat(done)}${" ".repeat(barWidth - done)}]`
}

const totals = ({ calls, failed, retries }: Frame, paint: Paint): string => {
  const text = `failed ${failed}`
  return `calls ${calls}  ${failed === 0 ? text : paint.bad(text)}  retries ${retries}`
}

const clock = ({ elapsed, seconds }: Frame): string =>
  `${(Math.min(elapsed, seconds * 1000) / 1000).toFixed(1).padStart(5)} of ${seconds} s`

/** A line for each backend, under a header. */
export const backends = (rows: ReadonlyArray<Row>, paint: Paint): ReadonlyArray<string> => [
  paint.bold(header),
  ...rows.map((backend) => row(backend, paint))
]

/** The live table, in at most `height` lines; backends there is no room for are counted. */
export const render = (frame: Frame, paint: Paint, height = Infinity): ReadonlyArray<string> => {
  const room = Math.max(1, height - 5)
  const shown = frame.rows.length <= room ? frame.rows : frame.rows.slice(0, Math.max(1, room - 1))
  const hidden = frame.rows.length - shown.length
  return [
    "",
    `${paint.busy(bar(frame))} ${clock(frame)}  ${paint.dim(frame.phase)}`,
    totals(frame, paint),
    ...backends(shown, paint),
    ...(hidden === 0 ? [] : [paint.dim(`and ${hidden} more`)])
  ]
}

/** Everything in a line. */
export const line = (frame: Frame, paint: Paint): string => {
  const ready = frame.rows.filter(({ state }) => state === "Ready").length
  const backends =
    frame.rows.length > 4
      ? [`${ready} of ${frame.rows.length} ready`]
      : frame.rows.map(({ name, p99, share, state }) =>
          state === "Ready"
            ? `${name} ${percent(share, 0)} p99 ${millis(p99)}`
            : paint.bad(`${name} ${state.toLowerCase()}`)
        )
  return `${clock(frame)}  ${totals(frame, paint)}  ${backends.join(", ")}`
}
