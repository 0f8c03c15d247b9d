/**
 * A peer as a row of the debug page.
 *
 * Its state is a word and a shape, so that it can be read without colours; what the signals say of a connected peer is its
 * state for whoever wonders why it gets no calls.
 */
import * as Format from "../introspection/Format.ts"
import * as State from "./State.ts"
import { type Html, html, shown } from "./Html.ts"
import { spanMillis } from "../introspection/LastMinute.ts"
import { isReady, type Peer, type Snapshot } from "../introspection/Snapshot.ts"
import * as Sparkline from "./Sparkline.ts"

/** What is said of a peer's state: what the signals make of it, once it is connected. */
const stateOf = ({ standing, state }: Peer): State.State =>
  state === "Ready" && standing !== undefined ? standing.status : state

const remark = (text: string | undefined) => (text === undefined ? undefined : html`<small>${shown(text)}</small>`)

const standing = ({ standing }: Peer, now: number) => {
  if (standing === undefined) return undefined
  const weight = standing.weight === 1 ? undefined : `${Format.percent(standing.weight)} of its weight`
  const until = standing.until === undefined ? undefined : `looked at again ${Format.ahead(standing.until - now)}`
  const parts = [standing.cause, weight, until].filter((part) => part !== undefined)
  return parts.length === 0 ? undefined : remark(parts.join(", "))
}

const state = (peer: Peer, now: number): Html => {
  // A peer that is held back is so since it is, and not since it is connected.
  const begun = (isReady(peer) || peer.state !== "Ready" ? undefined : peer.standing?.since) ?? peer.since
  const since = html`<time datetime="${Format.instant(begun)}">${Format.span(now - begun)}</time>`
  return html`<td class="state" role="cell">
    ${State.mark(stateOf(peer))}
    <span class="soft">${since}</span> ${peer.state === "Ready" ? undefined : remark(peer.cause)}${standing(peer, now)}
  </td>`
}

const number = (label: string, value: number, lately?: string, bad = false): Html =>
  html`<td class="num${bad ? " bad" : value === 0 ? " zero" : ""}" role="cell" data-label="${label}">
    ${Format.count(value)}${lately === undefined ? undefined : html`<small>${lately}</small>`}
  </td>`

/** How many a second there were lately, over as much of the last minute as the peer has been looked at. */
const perSecond = ({ calls, latencies }: Peer["recent"], intervalMillis: number): string | undefined =>
  calls === 0 ? undefined : Format.rate((calls * 1000) / (Math.max(1, latencies.length) * intervalMillis))

const share = (part: number): Html =>
  html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="100" height="8" />
      <rect width="${(part * 100).toFixed(1)}" height="8" /></svg
    ><span>${Format.percent(part)}</span>`

const latency = ({ latencies, latencyMillis }: Peer["recent"], intervalMillis: number): Html =>
  html`${Sparkline.draw(latencies, spanMillis / intervalMillis)}${latencyMillis === null ? undefined : html`<span>${Format.latency(latencyMillis)}</span>`}`

const lastError = ({ lastError }: Peer, now: number): Html =>
  lastError === undefined
    ? html`<td class="error empty" role="cell"><span class="none">none</span></td>`
    : html`<td class="error" role="cell" data-label="Last error">
        ${shown(lastError.text)}<small
          ><time datetime="${Format.instant(lastError.at)}">${Format.ago(now - lastError.at)}</time></small
        >
      </td>`

const name = ({ address, id, locality, weight }: Peer): Html => {
  const more = [id === address ? undefined : address, locality, weight === 1 ? undefined : `weight ${weight}`]
  const said = more.filter((part) => part !== undefined).join(", ")
  return html`<th class="peer" scope="row" role="rowheader">
    <span class="mono">${shown(id)}</span>${remark(said === "" ? undefined : said)}
  </th>`
}

/** A column of the table: its head, its width, and the cell of a peer. */
interface Column {
  readonly title: string
  /** The share of the table's width, in percent; what is left goes to the column without one. */
  readonly width?: number
  readonly numeric?: boolean
  readonly cell: (peer: Peer, snapshot: Snapshot) => Html
}

const columns: ReadonlyArray<Column> = [
  { title: "Backend", width: 15, cell: name },
  { title: "State", width: 19, cell: (peer, { at }) => state(peer, at) },
  { title: "In flight", width: 6.5, numeric: true, cell: ({ pending }) => number("In flight", pending) },
  {
    title: "Calls",
    width: 8,
    numeric: true,
    cell: ({ recent, started }, { intervalMillis }) => number("Calls", started, perSecond(recent, intervalMillis))
  },
  {
    title: "Errors",
    width: 6.5,
    numeric: true,
    cell: ({ failed, recent: { errors } }) =>
      number("Errors", failed, errors === 0 ? undefined : `${Format.count(errors)} lately`, errors > 0)
  },
  {
    title: "Share, last minute",
    width: 12.5,
    cell: ({ recent }) => html`<td class="share" role="cell" data-label="Share">${share(recent.share)}</td>`
  },
  {
    title: "Latency, last minute",
    width: 16.5,
    cell: ({ recent }, { intervalMillis }) =>
      html`<td class="latency" role="cell" data-label="Latency">${latency(recent, intervalMillis)}</td>`
  },
  { title: "Last error", cell: (peer, { at }) => lastError(peer, at) }
]

/** The row of a peer, with an anchor of its own on the page. */
export const render = (peer: Peer, anchor: string, snapshot: Snapshot): Html =>
  html`<tr role="row" id="${anchor}" data-key="${peer.id}">
    ${columns.map(({ cell }) => cell(peer, snapshot))}
  </tr>`

/** The heads of the columns. */
export const heads: Html = html`<tr role="row">
  ${columns.map(({ numeric, title }, i) => html`<th scope="col" role="columnheader" class="c${i + 1}${numeric ? " num" : ""}">${title}</th>`)}
</tr>`

/** The widths of the columns, for the style sheet. */
export const widths: string = columns
  .flatMap(({ width }, i) => (width === undefined ? [] : [`.c${i + 1} { width: ${width}%; }`]))
  .join(" ")
