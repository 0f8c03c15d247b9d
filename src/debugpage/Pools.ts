/**
 * A pool as a table of the debug page.
 */
import * as Format from "../introspection/Format.ts"
import * as Peers from "./Peers.ts"
import * as Trouble from "./Trouble.ts"
import { type Html, html, shown } from "./Html.ts"
import { isReady, type Pool, type Snapshot } from "../introspection/Snapshot.ts"

const discovered = (at: number | undefined, now: number): string => {
  if (at === undefined) return "not discovered yet"
  return `discovered ${Format.ago(now - at)}`
}

const facts = ({ discovery, panicked, peers, picker }: Pool, now: number): string => {
  const all = [
    `${peers.filter(isReady).length} of ${peers.length} ready`,
    picker,
    discovered(discovery.updatedAt, now),
    panicked === undefined || panicked === 0 ? undefined : `${Format.count(panicked)} calls sent in panic`
  ]
  return all.filter((fact) => fact !== undefined).join(" · ")
}

const table = (pool: Pool, snapshot: Snapshot): Html =>
  html`<div class="scroll">
    <table role="table">
      <caption>
        Backends of ${shown(pool.target)}
      </caption>
      <thead role="rowgroup">
        ${Peers.heads}
      </thead>
      <tbody role="rowgroup">
        ${pool.peers.map((peer) => Peers.render(peer, Trouble.placeOfPeer(pool, peer), snapshot))}
      </tbody>
    </table>
  </div>`

/** The section of a pool. */
export const render = (pool: Pool, snapshot: Snapshot): Html => {
  const { discovery, id, peers, target } = pool
  return html`<section id="${Trouble.placeOf(pool)}" data-key="pool ${id}">
    <div class="head">
      <h2>${shown(target)}</h2>
      <p>${facts(pool, snapshot.at)}</p>
    </div>
    <div class="panel">
      ${discovery.error === undefined ? undefined : html`<p class="warn">${shown(discovery.error)}</p>`}
      ${peers.length === 0 ? html`<p class="note soft">Discovery has named no backends.</p>` : table(pool, snapshot)}
    </div>
  </section>`
}
