/**
 * Every attempt, seen where it meets the wire.
 *
 * Retries happen above the pool, so a client's interceptor sees calls. One around the connector's transport sees what
 * each backend is sent.
 */
import { Effect, Exit, Layer, Stream } from "effect"
import { Interceptor } from "trunkline"
import { Connector } from "trunkline/extend"
import type { Journal } from "./Journal.ts"

const counted = (journal: Journal, peer: string): Interceptor.Interceptor => ({
  unary: (next) => (method, request, call) =>
    Effect.suspend(() => {
      const end = journal.attempt(peer)
      return Effect.onExit(next(method, request, call), (exit) => Effect.sync(() => end(Exit.isFailure(exit))))
    }),
  stream: (next) => (method, requests, call) =>
    Effect.suspend(() => {
      const end = journal.attempt(peer)
      const ended = (exit: Exit.Exit<unknown, unknown>) => Effect.sync(() => end(Exit.isFailure(exit)))
      return next(method, requests, call).pipe(
        Effect.onError((cause) => ended(Exit.failCause(cause))),
        Effect.map((response) => ({ ...response, messages: Stream.onExit(response.messages, ended) }))
      )
    })
})

/** A connector whose connections count. */
export const layer = (journal: Journal): Layer.Layer<Connector.Connector, never, Connector.Connector> =>
  Layer.effect(
    Connector.Connector,
    Effect.map(Connector.Connector, (connector) =>
      Connector.Connector.of({
        connect: (endpoint) =>
          Effect.map(connector.connect(endpoint), ({ connect, connectivity, transport }) => ({
            connect,
            connectivity,
            transport: Interceptor.apply(counted(journal, endpoint.id), transport)
          }))
      })
    )
  )
