/**
 * Lines over two axes, as SVG.
 *
 * A picture stands beside text in light and in dark, so its colours come in two sets; and lines differ in dashes too, for
 * those to whom colours say little.
 */

/** A direction: from one value to another, with marks that have names. */
export interface Axis {
  readonly label: string
  readonly from: number
  readonly to: number
  readonly log?: boolean
  readonly marks: ReadonlyArray<readonly [value: number, name: string]>
}

export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<readonly [x: number, y: number]>
}

/** A time in which something is so. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly label: string
}

export interface Chart {
  readonly name: string
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: ReadonlyArray<Line>
  readonly span?: Span | undefined
}

const width = 780
const height = 380
const area = { left: 74, right: 566, top: 48, bottom: 322 }

const light = ["#0550ae", "#bc4c00", "#116329", "#8250df", "#a40e26", "#57606a"]
const dark = ["#79c0ff", "#ffa657", "#56d364", "#d2a8ff", "#ff7b72", "#b1bac4"]
const dashes = ["", "9 4", "3 3", "12 3 3 3", "1 4", "16 6"]

const inks = (paper: string, text: string, faint: string, band: string, lines: ReadonlyArray<string>): string =>
  [
    `.paper{fill:${paper}}text{fill:${text}}.grid,.frame{stroke:${faint}}.band{fill:${band}}`,
    ...lines.map((ink, i) => `.l${i}{stroke:${ink}}`)
  ].join("")

const style = [
  "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}.title{font-size:16px;font-weight:600}",
  ".grid,.frame{fill:none;stroke-width:1}.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}",
  ".l0{stroke-width:3}",
  inks("#ffffff", "#1f2328", "#d1d9e0", "#fff1cc", light),
  `@media (prefers-color-scheme:dark){${inks("#0d1117", "#e6edf3", "#3d444d", "#3a2d12", dark)}}`
].join("")

const escape = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

const digits = (value: number): string => String(Math.round(value * 10) / 10)

const scale = ({ from, log, to }: Axis, start: number, end: number) => {
  const place = log === true ? Math.log : (value: number) => value
  return (value: number): number => start + ((place(value) - place(from)) / (place(to) - place(from))) * (end - start)
}

/** The line as far as it is inside, down to the axis where it falls below. */
const pathOf = (line: Line, { x, y }: Chart, toX: (x: number) => number, toY: (y: number) => number): string => {
  let path = ""
  let above = false
  for (const [atX, atY] of line.points) {
    if (!Number.isFinite(atY) || atX < x.from || atX > x.to) continue
    const place = `${digits(toX(atX))} ${digits(toY(Math.max(y.from, Math.min(y.to, atY))))}`
    if (above) path += `L${place}`
    else if (atY >= y.from) path += `M${place}`
    above = atY >= y.from
  }
  return path
}

const frame = (
  { span, x, y }: Chart,
  toX: (x: number) => number,
  toY: (y: number) => number
): ReadonlyArray<string> => {
  const { bottom, left, right, top } = area
  const band =
    span === undefined
      ? []
      : [
          `<rect class="band" x="${digits(toX(span.from))}" y="${top}" width="${digits(toX(span.to) - toX(span.from))}" height="${bottom - top}"/>`,
          `<text x="${digits((toX(span.from) + toX(span.to)) / 2)}" y="${top - 6}" text-anchor="middle">${escape(span.label)}</text>`
        ]
  return [
    ...band,
    ...x.marks.flatMap(([value, name]) => [
      `<path class="grid" d="M${digits(toX(value))} ${top}V${bottom}"/>`,
      `<text x="${digits(toX(value))}" y="${bottom + 20}" text-anchor="middle">${escape(name)}</text>`
    ]),
    ...y.marks.flatMap(([value, name]) => [
      `<path class="grid" d="M${left} ${digits(toY(value))}H${right}"/>`,
      `<text x="${left - 8}" y="${digits(toY(value) + 4)}" text-anchor="end">${escape(name)}</text>`
    ]),
    `<rect class="frame" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/>`,
    `<text x="${(left + right) / 2}" y="${height - 14}" text-anchor="middle">${escape(x.label)}</text>`,
    `<text transform="translate(16 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(y.label)}</text>`
  ]
}

const legend = (lines: ReadonlyArray<Line>): ReadonlyArray<string> =>
  lines.flatMap(({ name }, i) => {
    const y = area.top + 14 + i * 26
    return [
      `<path class="line l${i}" stroke-dasharray="${dashes[i]}" d="M${area.right + 16} ${y}h36"/>`,
      `<text x="${area.right + 60}" y="${y + 4}">${escape(name)}</text>`
    ]
  })

/** Draws a chart. The first line is drawn last, over the others. */
export const draw = (chart: Chart): string => {
  const toX = scale(chart.x, area.left, area.right)
  const toY = scale(chart.y, area.bottom, area.top)
  const lines = chart.lines.map(
    (line, i) => `<path class="line l${i}" stroke-dasharray="${dashes[i]}" d="${pathOf(line, chart, toX, toY)}"/>`
  )
  const said = `${chart.title}: ${chart.y.label} by ${chart.x.label}, for ${chart.lines.map(({ name }) => name).join("; ")}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(said)}">`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="title" x="16" y="24">${escape(chart.title)}</text>`,
    ...frame(chart, toX, toY),
    ...lines.toReversed(),
    ...legend(chart.lines),
    "</svg>",
    ""
  ].join("\n")
}
