/**
 * Something harmless to ask of any gRPC server: its health, or if it has no health service, which services it has.
 */
import { Clock, Effect, Stream } from "effect"
import { Client, Deadline, Health, Reflection, type RpcError, type Transport } from "trunkline"
import type { Journal } from "./Journal.ts"
import * as Pool from "./Pool.ts"

export interface Question {
  readonly name: string
  readonly ask: Effect.Effect<unknown, RpcError.RpcError>
}

/** Bounds all calls of an effect together: each of them ends by the same instant. */
const withinOneDeadline = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    Effect.provideService(self, Deadline.Current, Deadline.after(Deadline.nowUnsafe(clock), Pool.deadline))
  )

/** The first question the target has an answer to. Fails as the target does. */
export const question = Effect.fnUntraced(function* (
  journal: Journal
): Effect.fn.Return<Question, RpcError.RpcError, Transport.Transport> {
  const health = yield* Client.make(Health.v1)
  const reflection = yield* Client.make(Reflection.v1)

  const check: Question = { name: "Health/Check", ask: Pool.withDeadline(health.check({})) }

  // A client does not try a two-way stream again, for it may have begun to send; who sends one thing can.
  const listServices: Question = {
    name: "reflection's list_services",
    ask: Stream.make({ messageRequest: { case: "listServices", value: "" } } as const).pipe(
      reflection.serverReflectionInfo,
      Stream.runDrain,
      Effect.retry(Pool.policy(journal)),
      withinOneDeadline
    )
  }
  return yield* check.ask.pipe(
    Effect.as(check),
    Effect.catchReason("RpcError", "Unimplemented", () => Effect.as(listServices.ask, listServices))
  )
})
