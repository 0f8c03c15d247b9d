/**
 * The demo's own backends, each a process of its own, and what can be done to them.
 */
import { Data, Effect, Result, type Scope } from "effect"
import * as child_process from "node:child_process"
import { fileURLToPath } from "node:url"
import { Endpoint } from "trunkline"

export class BackendError extends Data.TaggedError("BackendError")<{
  readonly name: string
  readonly problem: string
}> {
  override get message(): string {
    return `backend ${this.name} ${this.problem}`
  }
}

/** A backend. Its address stays the same when it is restarted. */
export interface Backend {
  readonly name: string
  readonly endpoint: Endpoint.Endpoint
  readonly pid: () => number
  /** What was last done to it; empty if nothing that matters now. */
  readonly condition: () => string
  readonly kill: Effect.Effect<void>
  /** Starts it again, and waits until it listens. */
  readonly restart: Effect.Effect<void, BackendError, Scope.Scope>
  /** Stops the process without ending it: connections stay open and nobody answers. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

/** In place of a process id. */
const nobody = 0

const program = fileURLToPath(new URL("backend.js", import.meta.url))

const ended = (child: child_process.ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Ends a process, stopped or not, and waits until it has. */
const end = (child: child_process.ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (ended(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  }).pipe(Effect.timeoutOption("2 seconds"))

const listening = (name: string, child: child_process.ChildProcess) =>
  Effect.callback<string, BackendError>((resume) => {
    child.once("message", (address) => resume(Effect.succeed(String(address))))
    child.once("exit", () => resume(Effect.fail(new BackendError({ name, problem: "ended before it listened" }))))
  }).pipe(
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.fail(new BackendError({ name, problem: "did not listen within 10 seconds" }))
    })
  )

/** Starts a process that ends with the scope, and waits until it says where it listens. */
const fork = Effect.fnUntraced(function* (name: string, port: number) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => child_process.fork(program, [name, String(port)])),
    end
  )
  return { child, address: yield* listening(name, child) }
})

/** Starts a backend for each name. They end with the scope. */
export const start = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<Backend>, BackendError, Scope.Scope> {
  const started = yield* Effect.forEach(names, (name) => fork(name, 0), { concurrency: "unbounded" })
  const children = started.map(({ child }) => child)

  return started.map(({ address }, i): Backend => {
    const name = names[i]!
    const endpoint = Result.getOrThrow(Endpoint.parse(address))
    const port = Number(address.split(":").at(-1))
    let condition = ""
    const signal = (signal: NodeJS.Signals, becomes: string) =>
      Effect.sync(() => {
        children[i]!.kill(signal)
        condition = becomes
      })
    const tellSiblings = (pid: number) =>
      Effect.sync(() => {
        for (const child of children) if (child !== children[i] && child.connected) child.send(pid)
      })
    return {
      name,
      endpoint,
      pid: () => children[i]!.pid!,
      condition: () => condition,
      kill: signal("SIGKILL", "killed"),
      restart: Effect.map(fork(name, port), ({ child }) => {
        children[i] = child
        condition = ""
      }),
      freeze: Effect.andThen(tellSiblings(children[i]!.pid!), signal("SIGSTOP", "frozen")),
      thaw: Effect.andThen(signal("SIGCONT", ""), tellSiblings(nobody))
    }
  })
})
