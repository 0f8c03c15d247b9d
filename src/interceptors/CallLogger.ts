/**
 * One line in the log for each call that has ended.
 *
 * The line says which method, how it ended, how long it took, which attempt that was and on which peer, as annotations, so
 * that a log can be searched by them. It never says what was in a message or in metadata, nor the text of an error, which
 * may quote either. Only a defect is logged as it is: it is a bug in this process, and its text goes nowhere else.
 *
 * On a server the line is written when the client has been told how its call ended, and says what it was told: also where
 * the deadline, a response that could not be encoded, or the end of the server decided that after the handler.
 */
import { Cause, type Context, Effect, Exit, type LogLevel } from "effect"
import type * as Code from "../status/Code.ts"
import * as Outcome from "../status/Outcome.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "../call/Call.ts"
import * as CallObserver from "../call/CallObserver.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as Reported from "../call/Reported.ts"

/**
 * How loud the end of a call is; `undefined` is silence.
 *
 * @category models
 * @since 0.1.0
 */
export type Level = (outcome: Outcome.Outcome, status: Code.Status) => LogLevel.Severity | undefined

/**
 * How to log.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Default `levelOfOutcome`. */
  readonly level?: Level | undefined
}

const levels: Readonly<Record<Outcome.Outcome, LogLevel.Severity>> = {
  success: "Info",
  ignorable: "Info",
  rejected: "Warn",
  failure: "Error"
}

/**
 * `Error` where the peer or the way to it is at fault, `Warn` where the peer asks for less, `Info` for the rest.
 *
 * @category levels
 * @since 0.1.0
 */
export const levelOfOutcome: Level = (outcome) => levels[outcome]

const defectsOf = (cause: Cause.Cause<unknown>): ReadonlyArray<Cause.Cause<never>> => {
  const defects = cause.reasons.filter(Cause.isDieReason)
  return defects.length === 0 ? [] : [Cause.fromReasons(defects)]
}

/** Writes the line of one call, once. */
const lineOf = (level: Level, method: Method.Any, call: Call) => {
  const start = Deadline.nowUnsafe(call.clock)
  let written = false
  let defects: ReadonlyArray<Cause.Cause<never>> = []
  const write = (status: Code.Status): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (written) return Effect.void
      written = true
      const severity = level(status === "OK" ? "success" : Outcome.fromCode(status), status)
      if (severity === undefined) return Effect.void
      if (defects.length > 0) Reported.add(call)
      return Effect.logWithLevel(severity)(`${method.path} ${status}`, ...defects).pipe(
        Effect.annotateLogs({
          method: method.path,
          code: status,
          elapsedMillis: Deadline.nowUnsafe(call.clock) - start,
          attempt: call.attempt,
          ...(call.peer === undefined ? undefined : { peer: call.peer })
        })
      )
    })
  // A served call goes on after its handler: its line waits for what the client is told.
  const finish = (status: Code.Status): Effect.Effect<void> => (call.served ? Effect.void : write(status))
  return {
    /** Waits for the end of a served call, in the context that the line belongs to. */
    wait: Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() => call.onEnd((told) => Effect.provideContext(write(told?.code ?? "OK"), context)))
    ),
    ended: (exit: CallObserver.End): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (Exit.isSuccess(exit)) return finish("OK")
        defects = defectsOf(exit.cause)
        return finish(RpcError.fromCause(exit.cause).code)
      })
  }
}

/**
 * Logs each call when it has ended: a stream when its last message is read or when it is left, which is `CANCELLED`. In
 * front of a client it sees calls, with the number of their last attempt; in front of a transport it sees every attempt.
 *
 * @example
 * import { CallLogger, Interceptor } from "trunkline"
 *
 * const Logged = Interceptor.layer(CallLogger.make())
 * const OnlyTrouble = Interceptor.layer(
 *   CallLogger.make({ level: (outcome, status) => (status === "OK" ? undefined : CallLogger.levelOfOutcome(outcome, status)) })
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = (options?: Options): Interceptor => {
  const level = options?.level ?? levelOfOutcome
  return {
    unary: (next) => (method, request, call) =>
      Effect.suspend(() => {
        const line = lineOf(level, method, call)
        const run = Effect.onExit(
          Effect.suspend(() => next(method, request, call)),
          line.ended
        )
        return call.served ? Effect.andThen(line.wait, run) : run
      }),
    stream: (next) => (method, requests, call) =>
      Effect.suspend(() => {
        const line = lineOf(level, method, call)
        const run = CallObserver.onStreamEnd(
          Effect.suspend(() => next(method, requests, call)),
          line.ended
        )
        return call.served ? Effect.andThen(line.wait, run) : run
      })
  }
}
