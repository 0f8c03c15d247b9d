/**
 * What is wrong, before everything else on the debug page.
 *
 * Who opens the page has been woken up by something. Of many rows those few matter that are not as they should be, and they
 * are named first, with a link to where the rest is said.
 */
import * as Format from "../introspection/Format.ts"
import * as State from "./State.ts"
import { type Html, html, shown } from "./Html.ts"
import { isReady, type Peer, type Pool, type Snapshot } from "../introspection/Snapshot.ts"

/** One thing that is wrong. */
interface Trouble {
  readonly key: string
  /** What it links to. */
  readonly at: string
  readonly state: State.State
  readonly name: string
  readonly text: string
}

/** No more are named than can be read at a glance. */
const most = 8

/** Fewer failures than this part of its calls are any backend's. */
const tolerable = 0.05

/** Where a pool is on the page. */
export const placeOf = (pool: Pool): string => `pool-${pool.id}`

/** Where a peer is on the page. */
export const placeOfPeer = (pool: Pool, peer: Peer): string => `${placeOf(pool)}-${pool.peers.indexOf(peer)}`

/** What is wrong with a peer. One that nobody has asked to connect is as it should be. */
const ofPeer = (peer: Peer): Pick<Trouble, "state" | "text"> | undefined => {
  const { cause, recent, standing, state } = peer
  if (!isReady(peer)) {
    if (state === "Ready") return { state: standing!.status, text: standing!.cause ?? "" }
    if (cause === undefined && (state === "Idle" || state === "Connecting")) return undefined
    return { state, text: cause ?? "" }
  }
  if (recent.errors === 0 || recent.errors < tolerable * recent.calls) return undefined
  const text = `${Format.count(recent.errors)} of ${Format.count(recent.calls)} calls in the last minute`
  return { state: "Failing", text }
}

const ofPool = (pool: Pool): ReadonlyArray<Trouble> => {
  const { discovery, peers, problems, target } = pool
  const at = placeOf(pool)
  const found: Array<Trouble> = []
  for (const { part, text } of problems ?? []) {
    found.push({ key: `${part} ${pool.id}`, at, state: "Failing", name: target, text: `${part}: ${text}` })
  }
  if (discovery.error !== undefined) {
    found.push({ key: `discovery ${pool.id}`, at, state: "Stale", name: target, text: discovery.error })
  }
  if (peers.length === 0 && discovery.updatedAt !== undefined) {
    found.push({ key: `nobody ${pool.id}`, at, state: "Unavailable", name: target, text: "no backends" })
  }
  for (const peer of peers) {
    const trouble = ofPeer(peer)
    if (trouble === undefined) continue
    found.push({ key: `${pool.id} ${peer.id}`, at: placeOfPeer(pool, peer), name: peer.id, ...trouble })
  }
  return found
}

const ofClient = ({ budget, id, service }: Snapshot["clients"][number]): ReadonlyArray<Trouble> =>
  budget.balance === "unlimited" || budget.balance >= 1
    ? []
    : [{ key: `client ${id}`, at: `client-${id}`, state: "Spent", name: service, text: "no retries left" }]

const item = ({ at, key, name, state, text }: Trouble): Html =>
  html`<li data-key="${key}">
    ${State.mark(state)}
    <a class="mono" href="#${at}">${shown(name)}</a>
    <span class="soft">${shown(text)}</span>
  </li>`

/** The list of what is wrong; `undefined` if nothing is. */
export const render = ({ clients, pools }: Snapshot): Html | undefined => {
  const all = [...pools.flatMap(ofPool), ...clients.flatMap(ofClient)]
  if (all.length === 0) return undefined
  const more = all.length - most
  return html`<section class="panel trouble" aria-labelledby="trouble" data-key="trouble">
    <h2 id="trouble">Not as it should be</h2>
    <ul>
      ${all.slice(0, most).map(item)}
      ${more > 0 ? html`<li class="soft" data-key="more">and ${more} more</li>` : undefined}
    </ul>
  </section>`
}
