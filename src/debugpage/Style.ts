/**
 * How the debug page looks.
 *
 * One column of figures under the other, in numerals of one width, so that the eye finds what changed; colour only
 * repeats what a word and a shape already say. Narrow screens get a card for each peer instead of a row.
 */

import { widths } from "./Peers.ts"

/** The style sheet. It has no user's text in it. */
export const style = `
:root {
  color-scheme: light dark;
  --ground: #f6f6f3; --panel: #ffffff; --ink: #1c2226; --soft: #566069; --line: #e2e3de; --faint: #eeefea;
  --good: #1a7446; --wait: #855b00; --bad: #b02a20; --accent: #2a5a9c; --track: #dfe3e8; --bad-wash: #fdf3f1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #121518; --panel: #1a1e22; --ink: #e4e8eb; --soft: #9ba6ae; --line: #2d343a; --faint: #23292e;
    --good: #5ecb93; --wait: #e2b04c; --bad: #ff8f84; --accent: #8db6f2; --track: #343c43; --bad-wash: #2a1d1d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 0.875rem/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
.page { max-width: 84rem; margin: 0 auto; padding: 1.75rem 2rem 2.5rem; }
h1, h2, h3, p, ol, ul, dl, dd, pre { scroll-margin-top: 1rem; margin: 0; padding: 0; }
h1 { font-size: 1.375rem; font-weight: 650; letter-spacing: -0.01em; line-height: 1.3; }
h2 { font-size: 1rem; font-weight: 600; line-height: 1.4; overflow-wrap: anywhere; }
h3 { font-size: 0.8125rem; font-weight: 600; color: var(--soft); }

pre, small.mono, a.mono, span.mono, bdi.mono, h3.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.9286em; }
bdi { overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.top { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.25rem 1.5rem; }
.top .asof { margin-left: auto; color: var(--soft); font-size: 0.8125rem; }
.summary { margin-top: 0.25rem; color: var(--soft); }
.foot { padding-top: 0; padding-bottom: 2rem; font-size: 0.8125rem; }
section { margin-top: 2rem; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.125rem 1rem; margin-bottom: 0.625rem; }
.head p { color: var(--soft); font-size: 0.8125rem; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 0.625rem; }
.scroll { overflow-x: auto; }
.trouble { margin-top: 1.25rem; padding: 0.875rem 1rem; border-left: 0.25rem solid var(--bad); }
.trouble ul { list-style: none; margin-top: 0.375rem; display: grid; grid-template-columns: max-content minmax(0, max-content) minmax(12rem, 1fr); gap: 0.375rem 1.25rem; }
.trouble li { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; align-items: baseline; }
.trouble li.soft { display: block; }
.trouble span.soft { overflow-wrap: anywhere; }
a { color: var(--accent); }
:target { background: var(--faint); }
.note { padding: 0.625rem 1rem; }
.warn { color: var(--bad); background: var(--bad-wash); border-bottom: 1px solid var(--line); padding: 0.5rem 1rem; border-radius: 0.625rem 0.625rem 0 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 0.25rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 0.5rem; padding: 0.25rem 0.75rem; background: var(--panel); color: var(--accent); z-index: 1; }

table { width: 100%; border-collapse: collapse; table-layout: fixed; min-width: 64rem; }
${widths}
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
th, td { padding: 0.5rem 0.75rem; text-align: left; vertical-align: top; font-weight: 400; }
th:first-child, td:first-child { padding-left: 1rem; }
th:last-child, td:last-child { padding-right: 1rem; }
thead th { color: var(--soft); font-size: 0.75rem; font-weight: 500; white-space: nowrap; padding-bottom: 0.375rem; }
tbody tr { border-top: 1px solid var(--line); }
.num { text-align: right; white-space: nowrap; }
.num.zero, .zero { color: var(--soft); }
.num.bad small { color: inherit; }
.peer small, .state small, .error small, .num small { display: block; color: var(--soft); font-size: 0.75rem; line-height: 1.45; overflow-wrap: anywhere; }
.error { overflow-wrap: anywhere; }
.is { font-weight: 550; white-space: nowrap; margin-right: 0.25rem; }
.is svg { width: 0.75rem; height: 0.75rem; margin-right: 0.4375rem; vertical-align: -0.0625rem; fill: currentColor; stroke: currentColor; stroke-width: 2; }
.is .hollow { fill: none; }
.good { color: var(--good); } .wait { color: var(--wait); } .bad { color: var(--bad); } .idle { color: var(--soft); }
.none { color: var(--soft); }
.bar { display: inline-block; vertical-align: middle; width: 4rem; height: 0.375rem; margin-right: 0.5rem; fill: var(--accent); }
.bar .track { fill: var(--track); }
.share { white-space: nowrap; }
.share span { display: inline-block; min-width: 2.75rem; text-align: right; }
.spark { display: inline-block; vertical-align: middle; width: 7.5rem; height: 1.75rem; margin: -0.25rem 0.625rem -0.25rem 0; fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; }
.latency { white-space: nowrap; }

.clients { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
.client { padding: 0.875rem 1rem; }
.client h3, .list h3 { color: var(--ink); font-size: 0.875rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(3, auto) 1fr; gap: 0 1.5rem; margin-top: 0.5rem; }
dl div { display: flex; flex-direction: column-reverse; }
dt { color: var(--soft); font-size: 0.75rem; }
dd { font-size: 1.0625rem; font-weight: 550; }
details { margin-top: 0.625rem; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
details h4 { margin: 0.5rem 0 0.125rem; font-size: 0.75rem; font-weight: 500; color: var(--soft); overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0.5rem 0.75rem; background: var(--faint); border-radius: 0.375rem; font-size: 0.75rem; line-height: 1.55; }
.list { padding: 0.875rem 1rem; }
.list + .list { margin-top: 1rem; }
.list .parts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0.75rem 2.5rem; margin-top: 0.5rem; }
.list ol { list-style: none; }
.list li { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 0.75rem; padding: 0.125rem 0; }
.list li > .mono:first-child { min-width: min(16rem, 100%); }
.ways li > .mono:first-child { min-width: 1.5rem; }
.list p { margin-top: 0.25rem; font-size: 0.8125rem; }
.tag { font-size: 0.75rem; font-weight: 550; border: 1px solid var(--line); border-radius: 0.25rem; padding: 0 0.375rem; color: var(--accent); }
.list h4 { margin: 0; font-size: 0.75rem; font-weight: 500; color: var(--soft); }

@media (max-width: 60rem) {
  .page { padding: 1.25rem 1rem 2rem; } .page.foot { padding-top: 0; }
  .top .asof { margin-left: 0; width: 100%; }
  .scroll { overflow-x: visible; }
  table, tbody { display: block; min-width: 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.5rem 1rem; padding: 0.875rem 1rem; }
  tbody tr:first-child { border-top: 0; }
  tbody th, tbody td, tbody td.num, tbody th:first-child, tbody td:last-child { display: block; padding: 0; min-width: 0; max-width: none; text-align: left; }
  tbody td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: 0.75rem; line-height: 1.4; }
  .peer, .state, .error { grid-column: 1 / -1; }
  tbody td.latency { grid-column: span 2; }
  .bar { width: 2.5rem; margin-right: 0.25rem; }
  .spark { margin-top: 0; margin-bottom: 0; }
  .state { margin-top: -0.375rem; }
  .trouble ul { grid-template-columns: max-content minmax(0, 1fr); gap: 0.625rem 1rem; }
  .trouble span.soft { grid-column: 1 / -1; }
  tbody td.empty { display: none; }
}
@media (max-width: 60rem) and (min-width: 34rem) {
  tbody tr { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .peer, .state { grid-column: span 3; }
  .state { margin-top: 0; }
}
@media (forced-colors: active) {
  .bar { fill: Highlight; } .spark { stroke: CanvasText; }
}
@media print { .asof { display: none; } .panel { break-inside: avoid; } }
`
