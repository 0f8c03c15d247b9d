/**
 * A client as a card of the debug page: what is left of its budget, and what its policies do.
 */
import * as Format from "../introspection/Format.ts"
import { type Html, html, shown } from "./Html.ts"
import type { Snapshot } from "../introspection/Snapshot.ts"

const figure = (name: string, value: string, bad = false): Html =>
  html`<div>
    <dt>${name}</dt>
    <dd class="${bad ? "bad" : ""}">${value}</dd>
  </div>`

/** The card of a client. */
export const render = ({ budget, id, policies, service }: Snapshot["clients"][number]): Html => {
  const left = budget.balance === "unlimited" ? "unlimited" : Format.count(budget.balance)
  return html`<div class="panel client" id="client-${id}" data-key="client ${id}">
    <h3 class="mono">${shown(service)}</h3>
    <dl>
      ${figure(budget.shared ? "Retries left, shared" : "Retries left", left)}
      ${figure("Retried", Format.count(budget.withdrawals))}
      ${figure("Refused", Format.count(budget.exhaustions), budget.exhaustions > 0)}
    </dl>
    <details>
      <summary>What its policy does</summary>
      ${policies.map(
        ({ of, text }) =>
          html`<h4>${shown(of)}</h4>
            <pre>${text}</pre>`
      )}
    </details>
  </div>`
}
