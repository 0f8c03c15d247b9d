/**
 * The connections to one endpoint as a card of the debug page: how many there are, and what each of them carries.
 */
import * as Format from "../introspection/Format.ts"
import * as State from "./State.ts"
import { type Html, html, shown } from "./Html.ts"
import type { ChannelPoolReading, Snapshot } from "../introspection/Snapshot.ts"

type Channel = ChannelPoolReading["channels"][number]

const plural = (count: number, one: string): string => `${Format.count(count)} ${count === 1 ? one : `${one}s`}`

const facts = ({ calls, keys, load, penalty }: Channel): string => {
  const all = [
    `${Format.count(load)} under way`,
    plural(calls, "call"),
    keys === 0 ? undefined : plural(keys, "key"),
    penalty === 0 ? undefined : `counts as ${Format.count(penalty)} more for its failures`
  ]
  return all.filter((fact) => fact !== undefined).join(" · ")
}

const channel = (each: Channel): Html =>
  html`<li>
    <span class="mono">${String(each.id)}</span>
    ${State.mark(each.draining ? "Draining" : each.ready ? "Ready" : "Connecting")}
    <span class="soft">${facts(each)}</span>
  </li>`

/** What is worth a line only if it has happened. */
const happened = ({ failedFallbacks, fallbacks, primeFailures, silences }: ChannelPoolReading): string => {
  const all = [
    [silences, "did not answer any more", "connection"],
    [primeFailures, "did not get ready", "connection"],
    [fallbacks, "went elsewhere, their connection not being ready", "call"],
    [failedFallbacks, "found no other", "call"]
  ] as const
  return all
    .filter(([count]) => count > 0)
    .map(([count, text, what]) => `${plural(count, what)} ${text}`)
    .join("; ")
}

/** The card of an endpoint. */
export const render = (pool: NonNullable<Snapshot["channelPools"]>[number]): Html => {
  const { channels, endpoint, id, keys, load, max, ready } = pool
  const used = channels.filter(({ draining }) => !draining).length
  const past = happened(pool)
  return html`<div class="panel list ways" data-key="channels ${id} ${endpoint}">
    <h3>${shown(endpoint)}</h3>
    <p class="soft">
      ${ready} of ${plural(used, "connection")} ready, at most ${max} · ${Format.count(load)} under way ·
      ${plural(keys, "key")}
    </p>
    <ol>
      ${channels.map(channel)}
    </ol>
    ${past === "" ? undefined : html`<p class="soft">${past}.</p>`}
  </div>`
}
