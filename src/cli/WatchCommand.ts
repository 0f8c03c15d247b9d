/**
 * `trunkline watch`: a debug page in the terminal.
 */
import { Console, Data, Duration, Effect, Schedule } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Snapshot from "../introspection/Snapshot.ts"
import * as Arguments from "./Arguments.ts"
import * as Terminal from "./Terminal.ts"

/** The page could not be read. */
export class WatchError extends Data.TaggedError("WatchError")<{ readonly url: string; readonly problem: string }> {
  override get message(): string {
    return `${this.url}: ${this.problem}`
  }
}

/** How long a look may take. */
const patience: Duration.Input = "5 seconds"

const causeOf = (cause: unknown): string => {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return reason instanceof Error ? reason.message : "cannot be read"
}

const look = (url: URL): Effect.Effect<Snapshot.Snapshot, WatchError> =>
  Effect.gen(function* () {
    const fail = (problem: string) => new WatchError({ url: url.href, problem })
    const { status, text } = yield* Effect.tryPromise({
      try: (signal) =>
        fetch(url, { headers: { accept: "application/json" }, signal }).then((response) =>
          response.text().then((text) => ({ status: response.status, text }))
        ),
      catch: (cause) => fail(causeOf(cause))
    }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(fail("does not answer")) }))
    if (status !== 200) return yield* fail(`answered with status ${status}`)
    return yield* Effect.mapError(Snapshot.fromJson(text), () => fail("does not answer with a snapshot of backends"))
  })

/** What is to be watched, and how. */
export interface Input {
  readonly url: URL
  readonly once: boolean
  readonly interval: Duration.Duration
}

/** Draws once, or again and again until it is interrupted. */
const run = ({ interval, once, url }: Input) => {
  const draw = Effect.map(look(url), Terminal.draw)
  if (once) return Effect.flatMap(draw, (text) => Console.log(text))
  // A program that restarts is away for a moment; only a first look that fails says that the address is wrong.
  const again = Effect.catchTag(draw, "WatchError", (error) => Effect.succeed(error.message))
  return Effect.andThen(
    Effect.flatMap(draw, Terminal.show),
    Effect.flatMap(again, Terminal.show).pipe(Effect.repeat(Schedule.spaced(interval)))
  )
}

/** The command. */
export const command = Command.make(
  "watch",
  {
    url: Arguments.httpUrl("url").pipe(Argument.withDescription("Where a program serves its debug page")),
    once: Flag.Boolean("once").pipe(Flag.withDescription("Draws them once and ends"), Flag.withDefault(false)),
    interval: Arguments.time("interval").pipe(
      Flag.withDescription("Looks so often (default 1s)"),
      Flag.withDefault(Duration.seconds(1))
    )
  },
  run
).pipe(
  Command.withDescription("Draws the backends of a program that serves a debug page"),
  Command.withExamples([{ command: "trunkline watch http://127.0.0.1:8300/debug/backends" }])
)
