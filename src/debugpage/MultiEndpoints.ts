/**
 * A list of endpoints as a card of the debug page: who comes first, who is current, and the latest switches.
 */
import * as Format from "../introspection/Format.ts"
import * as State from "./State.ts"
import { type Html, html, shown } from "./Html.ts"
import type { MultiEndpointReading, Snapshot } from "../introspection/Snapshot.ts"

type Endpoint = MultiEndpointReading["endpoints"][number]
type Switch = MultiEndpointReading["history"][number]

const endpoint = ({ availability, endpoint, failing }: Endpoint, current: string): Html =>
  html`<li>
    <span class="mono">${shown(endpoint)}</span>
    ${State.mark(failing ? "Failing" : availability)}
    ${endpoint === current ? html`<strong class="tag">current</strong>` : undefined}
  </li>`

const past = ({ at, from, reason, to }: Switch): Html =>
  html`<li>
    <time class="soft" datetime="${Format.instant(at)}">${Format.instant(at).slice(11, 19)}</time>
    <span><span class="mono">${shown(from)}</span> to <span class="mono">${shown(to)}</span></span>
    <span class="soft">${shown(reason)}</span>
  </li>`

/** The card of a list. */
export const render = (list: Snapshot["multiEndpoints"][number], now: number): Html => {
  const { current, endpoints, history, id, name, switchAt } = list
  return html`<div class="panel list" data-key="list ${id} ${name}">
    <h3>${shown(name)}</h3>
    <div class="parts">
      <div>
        <h4>In order of priority</h4>
        <ol>
          ${endpoints.map((each) => endpoint(each, current))}
        </ol>
        ${switchAt === undefined ? undefined : html`<p class="soft">A switch is to come ${Format.ahead(switchAt - now)}.</p>`}
      </div>
      <div>
        <h4>Latest switches</h4>
        ${
          history.length === 0
            ? html`<p class="soft">none</p>`
            : html`<ol>
                ${history.map(past)}
              </ol>`
        }
      </div>
    </div>
  </div>`
}
