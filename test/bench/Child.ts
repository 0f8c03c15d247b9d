/** A program beside this one in a process of its own, which ends with the scope. */
import { Data, Effect, type Scope } from "effect"
import * as child_process from "node:child_process"
import { basename } from "node:path"
import { fileURLToPath } from "node:url"

export class ChildError extends Data.TaggedError("ChildError")<{ readonly program: string; readonly problem: string }> {
  override get message(): string {
    return `${this.program} ${this.problem}`
  }
}

export interface Child {
  /** What the child says next, once it has been told the message. */
  readonly ask: (message: child_process.Serializable) => Effect.Effect<unknown, ChildError>
}

/** How long a child may take to end, which it does when it sees this end of the line go. */
const patience = "5 seconds"

const ended = (child: child_process.ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const answer = (program: string, child: child_process.ChildProcess) =>
  Effect.callback<unknown, ChildError>((resume) => {
    const gone = () => settle(Effect.fail(new ChildError({ program, problem: "ended before it answered" })))
    const said = (message: unknown) => settle(Effect.succeed(message))
    const settle = (effect: Effect.Effect<unknown, ChildError>) => {
      child.off("message", said).off("exit", gone)
      resume(effect)
    }
    if (ended(child)) return gone()
    child.on("message", said).on("exit", gone)
  })

const stop = (child: child_process.ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (ended(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    if (child.connected) child.disconnect()
  }).pipe(Effect.timeoutOption(patience), Effect.andThen(Effect.sync(() => void child.kill("SIGKILL"))))

/** Starts a program and waits for the first thing it says. */
export const start = Effect.fnUntraced(function* (
  file: URL,
  args: ReadonlyArray<string> = [],
  nodeArgs: ReadonlyArray<string> = []
): Effect.fn.Return<readonly [child: Child, greeting: unknown], ChildError, Scope.Scope> {
  const program = [basename(file.pathname), ...args].join(" ")
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => child_process.fork(fileURLToPath(file), args, { execArgv: [...process.execArgv, ...nodeArgs] })),
    stop
  )
  const greeting = yield* answer(program, child)
  return [
    {
      ask: (message) =>
        Effect.andThen(
          Effect.sync(() => void child.send(message)),
          answer(program, child)
        )
    },
    greeting
  ]
})
