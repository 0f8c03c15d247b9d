/**
 * A snapshot as a page: a function of data, which tests can call.
 */
import * as Format from "../introspection/Format.ts"
import * as Channels from "./Channels.ts"
import * as Clients from "./Clients.ts"
import * as MultiEndpoints from "./MultiEndpoints.ts"
import * as Pools from "./Pools.ts"
import * as Trouble from "./Trouble.ts"
import { script } from "./Script.ts"
import { style } from "./Style.ts"
import { Html, html } from "./Html.ts"
import { isReady, type Snapshot } from "../introspection/Snapshot.ts"

/** What the page is to be beside its data. */
export interface Frame {
  /** Marks this page's own style and script for its content security policy. */
  readonly nonce: string
  /** Where its events are, relative to the page. */
  readonly events: string
  /** How often a browser without scripts asks for the page anew, in seconds. */
  readonly refreshSeconds: number
}

const plural = (count: number, one: string): string => `${count} ${count === 1 ? one : `${one}s`}`

/** The one line that is announced when it changes: it changes when a backend comes or goes, and not with every call. */
const summary = ({ pools }: Snapshot): string => {
  if (pools.length === 0) return "No targets yet: nothing in this program has made a pool."
  const peers = pools.flatMap((pool) => pool.peers)
  return `${peers.filter(isReady).length} of ${plural(peers.length, "backend")} ready, ${plural(pools.length, "target")}`
}

/** What a tab among many says. */
const title = ({ pools }: Snapshot): string => {
  const peers = pools.flatMap((pool) => pool.peers)
  return peers.length === 0 ? "Backends" : `${peers.filter(isReady).length}/${peers.length} Backends`
}

/** Cards of one kind, if there are any. */
const cards = (kind: string, title: string, about: string, content: ReadonlyArray<Html>): Html | undefined =>
  content.length === 0
    ? undefined
    : html`<section data-key="${kind}">
        <div class="head">
          <h2>${title}</h2>
          <p>${about}</p>
        </div>
        <div class="${kind}">${content}</div>
      </section>`

/** The part of the page that changes. */
export const main = (snapshot: Snapshot): Html => {
  const { at, channelPools = [], clients, multiEndpoints, pools } = snapshot
  const now = Format.instant(at)
  return html`<main id="main" class="page" data-title="${title(snapshot)}">
    <div class="top">
      <h1>Backends</h1>
      <p class="asof">As of <time datetime="${now}">${now.slice(11, 19)} UTC</time></p>
    </div>
    <p class="summary" role="status" aria-live="polite">${summary(snapshot)}</p>
    ${Trouble.render(snapshot)} ${pools.map((pool) => Pools.render(pool, snapshot))}
    ${cards(
      "lists",
      "Multi-endpoints",
      "which endpoint calls go to",
      multiEndpoints.map((list) => MultiEndpoints.render(list, at))
    )}
    ${cards("channels", "Channel pools", "several connections to one endpoint", channelPools.map(Channels.render))}
    ${cards("clients", "Clients", "retry budgets and policies", clients.map(Clients.render))}
  </main>`
}

/** The whole page. */
export const page = (snapshot: Snapshot, { events, nonce, refreshSeconds }: Frame): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title(snapshot)}</title>
        <noscript><meta http-equiv="refresh" content="${refreshSeconds}" /></noscript>
        <style nonce="${nonce}">
          ${new Html(style)}
        </style>
      </head>
      <body data-events="${events}">
        <a class="skip" href="#main">Skip to the backends</a>
        ${main(snapshot)}
        <footer class="page foot soft">
          <p>
            This page is <span id="live">as it was when it was loaded</span>. It only reads. Counts are since each
            backend was made; rates, shares and latencies are of the last minute, and so is what happened lately.
          </p>
        </footer>
        <script nonce="${nonce}">
          ${new Html(script)}
        </script>
      </body>
    </html> `.text
