/** A program in a process of its own, which ends with the scope. */
import { Data, Deferred, type Duration, Effect, type Scope } from "effect"
import * as child_process from "node:child_process"
import type { Readable } from "node:stream"

export class ProgramError extends Data.TaggedError("ProgramError")<{
  readonly program: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.program} ${this.problem}`
  }
}

/** How long a program that is told to end may take, and how long one may take to say that it listens. */
const patience = "5 seconds"
const startLimit = "20 seconds"

/** A program under way, and all it has said. */
export interface Program {
  readonly name: string
  readonly child: child_process.ChildProcessByStdio<null, Readable, Readable>
  readonly said: () => string
  /** Waits until it has ended and has said all. */
  readonly closed: Effect.Effect<void>
}

const stop = ({ child, closed }: Program): Effect.Effect<void> =>
  Effect.sync(() => void child.kill("SIGTERM")).pipe(
    Effect.andThen(Effect.timeoutOption(closed, patience)),
    // Does nothing to a program that has ended.
    Effect.andThen(Effect.sync(() => void child.kill("SIGKILL")))
  )

/** Starts a program. */
export const start = (
  command: string,
  args: ReadonlyArray<string>
): Effect.Effect<Program, ProgramError, Scope.Scope> => {
  const name = [command, ...args].join(" ")
  return Effect.acquireRelease(
    Effect.callback<Program, ProgramError>((resume) => {
      const child = child_process.spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
      const closed = Deferred.makeUnsafe<void>()
      let said = ""
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text))
      child.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
      child.once("error", (error) => resume(Effect.fail(new ProgramError({ program: name, problem: error.message }))))
      child.once("spawn", () =>
        resume(Effect.succeed({ name, child, said: () => said, closed: Deferred.await(closed) }))
      )
    }),
    stop
  )
}

/** Waits until what a program has said matches, so many times. */
export const saying = (
  { child, closed, name, said }: Program,
  pattern: RegExp,
  times: number
): Effect.Effect<ReadonlyArray<RegExpExecArray>, ProgramError> => {
  const failed = (problem: string) => Effect.fail(new ProgramError({ program: name, problem: `${problem}: ${said()}` }))
  const found = Effect.callback<ReadonlyArray<RegExpExecArray>>((resume) => {
    const look = () => {
      const matches = [...said().matchAll(pattern)]
      if (matches.length >= times) resume(Effect.succeed(matches))
    }
    child.stdout.on("data", look)
    look()
    return Effect.sync(() => void child.stdout.off("data", look))
  })
  return Effect.raceFirst(
    found,
    Effect.andThen(
      closed,
      Effect.suspend(() => failed("ended"))
    )
  ).pipe(Effect.timeoutOrElse({ duration: startLimit, orElse: () => failed("is silent") }))
}

/** Runs a program to its end: whether it exited with 0 in time, and what it said. */
export const run = Effect.fnUntraced(function* (
  command: string,
  args: ReadonlyArray<string>,
  limit: Duration.Input
): Effect.fn.Return<{ readonly ok: boolean; readonly said: string }, ProgramError, Scope.Scope> {
  const { child, closed, said } = yield* start(command, args)
  yield* Effect.timeoutOption(closed, limit)
  return { ok: child.exitCode === 0, said: said() }
}, Effect.scoped)
