/**
 * A snapshot as text in columns.
 *
 * What backends say of themselves could hold codes that move the cursor or paint the screen, so nothing that is not
 * printable reaches the terminal.
 */
import { stdout } from "node:process"
import { Effect } from "effect"
import * as Format from "../introspection/Format.ts"
import { spanMillis } from "../introspection/LastMinute.ts"
import { isReady, type Peer, type Pool, type Snapshot } from "../introspection/Snapshot.ts"

/** Text without anything that a terminal would obey. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "\ufffd")

const bars = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

/** So many columns for the last minute. */
const columns = 20

/** The latencies of a minute as bars; a column without an answer is a space. */
export const sparkline = (values: ReadonlyArray<number | null>, slots: number): string => {
  const padded = [...Array.from<null>({ length: Math.max(0, slots - values.length) }).fill(null), ...values]
  const size = Math.max(1, padded.length / columns)
  const means = Array.from({ length: columns }, (_, i) => {
    const part = padded.slice(Math.floor(i * size), Math.floor((i + 1) * size)).filter((value) => value !== null)
    return part.length === 0 ? null : part.reduce((sum, value) => sum + value, 0) / part.length
  })
  const top = Math.max(...means.map((mean) => mean ?? 0), Number.MIN_VALUE)
  return means.map((mean) => (mean === null ? " " : bars[Math.min(7, Math.floor((mean / top) * 8))]!)).join("")
}

const stateOf = ({ standing, state }: Peer): string =>
  state === "Ready" && standing !== undefined && standing.status !== "Ready" ? standing.status : state

const heads = ["BACKEND", "STATE", "SINCE", "IN FLIGHT", "CALLS", "ERRORS", "SHARE", "LATENCY", "", "LAST"]

/** The columns that are numbers, which stand under each other by their last digits. */
const numbers: ReadonlySet<number> = new Set([3, 4, 5, 6, 7])

const row = (peer: Peer, { at, intervalMillis }: Snapshot): ReadonlyArray<string> => {
  const { latencies, latencyMillis, share } = peer.recent
  return [
    peer.id,
    stateOf(peer),
    Format.span(at - peer.since),
    Format.count(peer.pending),
    Format.count(peer.started),
    Format.count(peer.failed),
    Format.percent(share),
    latencyMillis === null ? "-" : Format.latency(latencyMillis),
    sparkline(latencies, spanMillis / intervalMillis),
    (isReady(peer) ? undefined : (peer.standing?.cause ?? peer.cause)) ?? peer.lastError?.text ?? ""
  ].map(printable)
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = heads.map((_, i) => Math.max(...rows.map((cells) => [...cells[i]!].length)))
  const pad = (cell: string, i: number) => {
    const space = " ".repeat(widths[i]! - [...cell].length)
    return numbers.has(i) ? space + cell : cell + space
  }
  return rows.map((cells) => cells.map(pad).join("  ").trimEnd())
}

const drawPool = (pool: Pool, snapshot: Snapshot): ReadonlyArray<string> => {
  const ready = pool.peers.filter(isReady).length
  const title = [pool.target, `${ready} of ${pool.peers.length} ready`, pool.picker ?? "", pool.discovery.error ?? ""]
  return [
    "",
    printable(title.filter((part) => part !== "").join("  ")),
    ...table([heads, ...pool.peers.map((peer) => row(peer, snapshot))])
  ]
}

/** The text of a snapshot. */
export const draw = (snapshot: Snapshot): string => {
  const { at, channelPools = [], clients, multiEndpoints, pools } = snapshot
  return [
    `backends as of ${Format.instant(at).slice(11, 19)} UTC`,
    ...(pools.length === 0 ? ["no targets yet"] : []),
    ...pools.flatMap((pool) => drawPool(pool, snapshot)),
    ...(multiEndpoints.length === 0 ? [] : [""]),
    ...multiEndpoints.map(({ current, name }) => printable(`multi-endpoint ${name}: ${current}`)),
    ...(channelPools.length === 0 ? [] : [""]),
    ...channelPools.map(({ endpoint, load, max, ready }) =>
      printable(`channels to ${endpoint}: ${ready} ready of at most ${max}, ${Format.count(load)} calls under way`)
    ),
    ...(clients.length === 0 ? [] : [""]),
    ...clients.map(({ budget: { balance, exhaustions, withdrawals }, service }) => {
      const left = balance === "unlimited" ? balance : Format.count(balance)
      return printable(`client ${service}: ${left} retries left, ${withdrawals} made, ${exhaustions} refused`)
    })
  ].join("\n")
}

/** Text of which no line is wider than a screen: a line that went on in the next would tear the columns apart. */
export const fit = (text: string, width: number): string =>
  text
    .split("\n")
    .map((line) => {
      const characters = [...line]
      return characters.length <= width ? line : `${characters.slice(0, width - 1).join("")}…`
    })
    .join("\n")

/** Puts text in place of what was there, where there is a screen. */
export const show = (text: string): Effect.Effect<void> =>
  Effect.sync(() => void stdout.write(stdout.isTTY ? `\u001b[H\u001b[2J${fit(text, stdout.columns)}\n` : `${text}\n`))
