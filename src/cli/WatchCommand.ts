/**
 * `trunkline watch`: a debug page in the terminal.
 */
import { Console, Data, type Duration, Effect, Schedule } from "effect"
import * as Snapshot from "../observe/Snapshot.ts"
import type { Command } from "./Arguments.ts"
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

/** Draws once, or again and again until it is interrupted. */
export const run = ({ interval, once, url }: Command & { readonly _tag: "Watch" }) => {
  const draw = Effect.map(look(url), Terminal.draw)
  if (once) return Effect.flatMap(draw, (text) => Console.log(text))
  // A program that restarts is away for a moment; only a first look that fails says that the address is wrong.
  const again = Effect.catchTag(draw, "WatchError", (error) => Effect.succeed(error.message))
  return Effect.andThen(
    Effect.flatMap(draw, Terminal.show),
    Effect.flatMap(again, Terminal.show).pipe(Effect.repeat(Schedule.spaced(interval)))
  )
}
