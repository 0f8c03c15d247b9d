/**
 * A state as a word and a shape of its own, so that it can be told without colours.
 */
import { type Html, html } from "./Html.ts"

/** How a state looks: its word, its class, and its shape in a square of 12. */
interface Look {
  readonly word: string
  readonly tone: "good" | "wait" | "bad" | "idle"
  readonly shape: Html
}

const disc = html`<circle cx="6" cy="6" r="5" />`
const half = html`<circle class="hollow" cx="6" cy="6" r="5" /><path d="M6 1a5 5 0 0 1 0 10z" />`
const ring = html`<circle class="hollow" cx="6" cy="6" r="5" />`
const triangle = html`<path d="M6 2 11 10.5H1z" />`
const cross = html`<path class="hollow" d="M2 2l8 8M10 2l-8 8" />`
const square = html`<path d="M2 2h8v8H2z" />`
const diamond = html`<path class="hollow" d="M6 1l5 5-5 5-5-5z" />`

const looks = {
  Ready: { word: "Ready", tone: "good", shape: disc },
  Connecting: { word: "Connecting", tone: "wait", shape: half },
  Idle: { word: "Idle", tone: "idle", shape: ring },
  Down: { word: "Down", tone: "bad", shape: triangle },
  Gone: { word: "Gone", tone: "idle", shape: cross },
  Draining: { word: "Draining", tone: "idle", shape: ring },
  Ejected: { word: "Ejected", tone: "bad", shape: square },
  Probe: { word: "On probation", tone: "wait", shape: diamond },
  Available: { word: "Available", tone: "good", shape: disc },
  Recovering: { word: "Recovering", tone: "wait", shape: half },
  Unavailable: { word: "Unavailable", tone: "bad", shape: triangle },
  Failing: { word: "Failing calls", tone: "bad", shape: square },
  Stale: { word: "Not discovered", tone: "bad", shape: cross },
  Spent: { word: "Budget spent", tone: "bad", shape: square }
} satisfies Readonly<Record<string, Look>>

/** The states there are marks of. */
export type State = keyof typeof looks

/** The mark of a state. */
export const mark = (state: State): Html => {
  const { shape, tone, word } = looks[state]
  return html`<span class="is ${tone}"><svg viewBox="0 0 12 12" aria-hidden="true">${shape}</svg>${word}</span>`
}
