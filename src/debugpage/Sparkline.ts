/**
 * A minute of latency in a line the size of a word.
 *
 * There are no axes, so the picture says its range in words too, for those who cannot see it. An interval without an
 * answer is a gap: a line through it would claim something.
 */
import * as Format from "../introspection/Format.ts"
import { html, type Html } from "./Html.ts"

const width = 120
const height = 28
/** Room for the width of the line. */
const margin = 3

type Point = readonly [x: number, y: number]

/** The unbroken parts of the line. */
const runs = (
  values: ReadonlyArray<number | null>,
  slots: number,
  top: number
): ReadonlyArray<ReadonlyArray<Point>> => {
  const found: Array<Array<Point>> = []
  let open: Array<Point> | undefined
  for (const [i, value] of values.entries()) {
    if (value === null) {
      open = undefined
      continue
    }
    if (open === undefined) found.push((open = []))
    const x = width - margin - ((values.length - 1 - i) * (width - 2 * margin)) / Math.max(1, slots - 1)
    open.push([x, height - margin - (value / top) * (height - 2 * margin)])
  }
  return found
}

const digits = (value: number): string => String(Math.round(value * 10) / 10)

const pathOf = (points: ReadonlyArray<Point>): string => {
  const line = points.map(([x, y]) => `${digits(x)} ${digits(y)}`).join("L")
  // A single point is a line too short to see without its round ends.
  return points.length === 1 ? `M${line}h0` : `M${line}`
}

const range = (values: ReadonlyArray<number>): string => {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return least === most ? Format.latency(least) : `${Format.latency(least)} to ${Format.latency(most)}`
}

/** Draws values, oldest first, `null` for a gap; the newest is at the right of so many slots. */
export const draw = (values: ReadonlyArray<number | null>, slots: number): Html => {
  const known = values.filter((value) => value !== null)
  if (known.length === 0) return html`<span class="none">no calls</span>`
  const lines = runs(values, slots, Math.max(...known, Number.MIN_VALUE))
  const label = `latency of the last minute: ${range(known)}`
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
    <path d="${lines.map(pathOf).join("")}" />
  </svg>`
}
