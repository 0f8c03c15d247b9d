/** Calls of our client over any transport, as an Effect program makes them: one after another in a fiber. */
import { Effect, Exit, flow, Layer, type Scope } from "effect"
import { CallOptions, Client, type Transport } from "trunkline"
import { EchoService } from "../../gen/echo_pb.ts"
import type { Worker } from "../Contender.ts"
import { deadlineMillis, problemWith, request, timeoutMillis } from "../work.ts"

/** Put on a program once, they hold for each of its calls anew. */
const limits = flow(CallOptions.withDeadline(deadlineMillis), CallOptions.withTimeout(timeoutMillis))

export const over = <E>(transport: Layer.Layer<Transport.Transport, E>): Effect.Effect<Worker, E, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Layer.build(transport)
    const client = yield* Effect.provideContext(Client.make(EchoService), context)
    return (more) =>
      Effect.gen(function* () {
        let going = true
        while (going) {
          const exit = yield* Effect.exit(client.echo(request))
          going = more(Exit.isSuccess(exit) ? problemWith(exit.value) : exit.cause)
        }
      }).pipe(limits)
  })
