/**
 * The machine the command line runs on, as effect's `cli` asks for it.
 *
 * A platform package would do, but wants a newer Node than this library does. What the commands here use of it is little:
 * where a path leads, and where to write. None asks questions, none starts processes, and files are read where they are
 * explained; whoever did would find nothing there.
 */
import { stdout } from "node:process"
import { Effect, FileSystem, Layer, Path, Stdio, Terminal } from "effect"
import type { Command } from "effect/cli"
import { ChildProcessSpawner } from "effect/process"

const terminal = Terminal.make({
  columns: Effect.sync(() => stdout.columns ?? 80),
  rows: Effect.sync(() => stdout.rows ?? 24),
  size: Effect.never,
  readInput: Effect.never,
  readLine: Effect.never,
  display: (text) => Effect.sync(() => void stdout.write(text))
})

/** What commands need. */
export const layer: Layer.Layer<Command.Environment> = Layer.mergeAll(
  Path.layer,
  Stdio.layerTest({}),
  FileSystem.layerNoop({}),
  Layer.succeed(Terminal.Terminal, terminal),
  Layer.succeed(
    ChildProcessSpawner.ChildProcessSpawner,
    ChildProcessSpawner.make(() => Effect.die("nothing is started here"))
  )
)
