/** Calls of our client over any transport, each run as a program outside of Effect runs one: a fiber per call. */
import { Effect, Exit, flow, Layer, type Scope } from "effect"
import { CallOptions, Client, type Transport } from "trunkline"
import { EchoService } from "../../gen/echo_pb.ts"
import type { Call } from "../Contender.ts"
import { deadlineMillis, problemWith, request, timeoutMillis } from "../work.ts"

const limits = flow(CallOptions.withDeadline(deadlineMillis), CallOptions.withTimeout(timeoutMillis))

export const over = <E>(transport: Layer.Layer<Transport.Transport, E>): Effect.Effect<Call, E, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Layer.build(transport)
    const client = yield* Effect.provideContext(Client.make(EchoService), context)
    return (done) => {
      Effect.runFork(limits(client.echo(request))).addObserver((exit) =>
        done(Exit.isSuccess(exit) ? problemWith(exit.value) : exit.cause)
      )
    }
  })
