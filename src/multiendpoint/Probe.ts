/**
 * Asking an endpoint that was left for its error rate whether it is well again.
 *
 * Without a probe of the user's own this is a check of the standard health service. An endpoint that does not serve it
 * answers that it does not, which is as good an answer: what is probed is whether calls are answered.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import { Clock, Effect } from "effect"
import { Call } from "../call/Call.ts"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Method } from "../call/Method.ts"
import type { RpcError } from "../status/RpcError.ts"
import { Transport } from "../transport/Transport.ts"

/** `HealthCheckResponse { status: SERVING }` */
const serving = [8, 1]

/** The health check of the whole server, without the messages' descriptors: the request is empty. */
const check: Method<void, boolean, void, boolean> = {
  path: "/grpc.health.v1.Health/Check",
  service: "grpc.health.v1.Health",
  name: "Check",
  kind: "unary",
  idempotency: "no_side_effects",
  request: { encode: () => new Uint8Array(0), decode: () => undefined },
  response: {
    encode: (good) => new Uint8Array(good ? serving : []),
    decode: (bytes) => bytes.length === serving.length && serving.every((byte, i) => bytes[i] === byte)
  },
  errors: []
}

/** Succeeds if the endpoint serves, or knows nothing of health. */
export const health: Effect.Effect<void, RpcError | "not serving", Transport> = Effect.gen(function* () {
  const transport = yield* Transport
  const call = new Call(yield* CallOptions.Current, yield* Clock.Clock, Deadline.none)
  const serves = yield* Effect.catch(
    Effect.map(transport.unary(check, undefined, call), ({ message }) => message),
    (error) => (error.code === "UNIMPLEMENTED" && error.origin === "remote" ? Effect.succeed(true) : Effect.fail(error))
  )
  if (!serves) return yield* Effect.fail("not serving" as const)
})
