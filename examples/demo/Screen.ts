/**
 * Where a run is shown.
 *
 * In a terminal the table stays at the bottom and is drawn over, and events scroll away above it. Anywhere else there is
 * a line for each event and one for each second.
 */
import { Effect, type Scope } from "effect"
import type { Event, Mood } from "./Journal.ts"
import { colours, type Paint, plain } from "./Paint.ts"
import * as Table from "./Table.ts"

export interface Screen {
  readonly paint: Paint
  readonly draw: (events: ReadonlyArray<Event>, frame: Table.Frame) => void
  /** The last that is shown, in place of what was drawn over. */
  readonly end: (text: string) => void
}

const moods = { bad: "bad", good: "good", plain: "dim" } as const satisfies Record<Mood, keyof Paint>

const told = ({ at, mood, text }: Event, paint: Paint): string =>
  `${(Math.max(0, at) / 1000).toFixed(2).padStart(6)} s  ${paint[moods[mood]](text)}`

const escape = "\u001b["
const hideCursor = `${escape}?25l`
const showCursor = `${escape}?25h`
/** Lines that are too long for the terminal are cut off, so that a line is a line. */
const cutLines = `${escape}?7l`
const wrapLines = `${escape}?7h`
const clearBelow = `${escape}J`
const up = (lines: number): string => (lines === 0 ? "\r" : `\r${escape}${lines}A`)

const terminal = (out: NodeJS.WriteStream, paint: Paint): Screen => {
  let drawn = 0
  return {
    paint,
    draw(events, frame) {
      const table = Table.render(frame, paint, (out.rows || 24) - 1)
      const lines = [...events.map((event) => told(event, paint)), ...table]
      out.write(up(drawn) + cutLines + clearBelow + lines.map((line) => `${line}\n`).join("") + wrapLines)
      drawn = table.length
    },
    end: (text) => out.write(`${up(drawn)}${clearBelow}${text}\n`)
  }
}

const log = (out: NodeJS.WriteStream, paint: Paint): Screen => {
  let second = 0
  return {
    paint,
    draw(events, frame) {
      for (const event of events) out.write(`${told(event, paint)}\n`)
      const now = Math.floor(frame.elapsed / 1000)
      if (now === second || now > frame.seconds) return
      second = now
      out.write(`${Table.line(frame, paint)}\n`)
    },
    end: (text) => out.write(`${text}\n`)
  }
}

/** The screen of this process. The cursor is hidden until the scope closes. */
export const make: Effect.Effect<Screen, never, Scope.Scope> = Effect.gen(function* () {
  const { stdout } = process
  if (!stdout.isTTY) return log(stdout, plain)
  yield* Effect.acquireRelease(
    Effect.sync(() => stdout.write(hideCursor)),
    () => Effect.sync(() => stdout.write(showCursor))
  )
  return terminal(stdout, process.env["NO_COLOR"] ? plain : colours)
})
