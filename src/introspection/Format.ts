/** Numbers as people read them. Spaces within them do not break. */

/** A count with thin groups: `12 345`. */
export const count = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009")

/** Three digits are enough to see a change. */
const short = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)))

/** Milliseconds, in a unit that fits: `0.4 ms`, `12 ms`, `1.5 s`. */
export const latency = (millis: number): string =>
  millis >= 1000 ? `${short(millis / 1000)}\u00a0s` : `${short(millis)}\u00a0ms`

/** How often something happens: `82/s`, `0.4/s`. */
export const rate = (perSecond: number): string => `${perSecond >= 1000 ? count(perSecond) : short(perSecond)}/s`

/** A part of 1: `33\u00a0%`, `0.4\u00a0%`. */
export const percent = (part: number): string =>
  `${part >= 0.1 || part === 0 ? Math.round(part * 100) : short(part * 100)}\u00a0%`

const units: ReadonlyArray<readonly [millis: number, name: string]> = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"]
]

/** A time that has passed or is to come, in its largest whole unit: `now`, `12 s`, `3 min`. */
export const span = (millis: number): string => {
  const unit = units.find(([length]) => millis >= length)
  return unit === undefined ? "now" : `${Math.floor(millis / unit[0])}\u00a0${unit[1]}`
}

/** How long ago something was: `just now`, `12 s ago`. */
export const ago = (millis: number): string => (millis < 1000 ? "just now" : `${span(millis)} ago`)

/** When something is to come: `now`, `in 12 s`. */
export const ahead = (millis: number): string => (millis < 1000 ? "now" : `in ${span(millis)}`)

/** The furthest instant that a date can tell. */
const last = 8.64e15

/** An instant in UTC, as machines and people both read it. */
export const instant = (millis: number): string =>
  Number.isFinite(millis) && Math.abs(millis) <= last ? new Date(millis).toISOString() : "never"
