/** Many calls, one after another, none of which may be slow. */
import { Duration, Effect } from "effect"
import type { Client, RpcError } from "trunkline"
import type { Discovery } from "trunkline/extend"
import type { TestService } from "../../gen/interop_pb.ts"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import { type Iteration, type Soak, verdict } from "../Soak.ts"
import { unaryOf } from "./unary.ts"

type Failure = RpcError.RpcError | Discovery.DiscoveryError | Expect.Mismatch

/** Never fails: how the call went is what it returns. */
const iteration = (call: Effect.Effect<void, Failure>): Effect.Effect<Iteration> =>
  Effect.match(call, { onFailure: (error) => error.message, onSuccess: () => undefined }).pipe(
    Effect.timed,
    Effect.map(([took, problem]) => ({ millis: Duration.toMillis(took), problem }))
  )

const soakOf = Effect.fnUntraced(function* (soak: Soak, call: Effect.Effect<void, Failure>) {
  const iterations = yield* Effect.forEach(
    Array.from({ length: soak.iterations }),
    () => Effect.tap(iteration(call), () => Effect.sleep(soak.minMillisBetweenCalls)),
    { concurrency: soak.threads }
  ).pipe(Effect.timeoutOption(soak.overallTimeoutMillis))
  const problem = iterations._tag === "None" ? "out of time" : verdict(soak, iterations.value)
  yield* Expect.equal("problem", problem, undefined)
})

const once = (soak: Soak, test: Client.Client<typeof TestService>) =>
  unaryOf(test, { request: soak.requestSize, response: soak.responseSize })

export const rpcSoak = ({ soak, test }: Peer) => soakOf(soak, once(soak, test))

/** Each call has a channel of its own. */
export const channelSoak = ({ another, soak }: Peer) =>
  soakOf(soak, Effect.scoped(Effect.flatMap(another, (test) => once(soak, test))))
