/**
 * A server of handlers.
 *
 * What serves is an adapter's business; what is served is a `Router`: methods by their path, with the handlers' context
 * and the server's interceptors already in place.
 */
import { Context, Effect } from "effect"
import * as Interceptor from "../call/Interceptor.ts"
import type { Handler, Handlers } from "./Handlers.ts"

/**
 * A running server.
 *
 * @category services
 * @since 0.1.0
 */
export class Server extends Context.Service<
  Server,
  {
    /** Where clients connect, `host:port`, with the port that was bound. */
    readonly address: string
  }
>()("trunkline/server/Server") {}

/**
 * What to serve.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  readonly handlers: ReadonlyArray<Handlers<R>>
  /** Stands in front of every handler. */
  readonly interceptor?: Interceptor.Interceptor | undefined
  /** Runs when the server begins to stop and still accepts calls: where health turns to not serving. */
  readonly onDrain?: Effect.Effect<void> | undefined
}

/**
 * Handlers by method path.
 *
 * @category models
 * @since 0.1.0
 */
export type Router = ReadonlyMap<string, Handler>

/**
 * Builds the handlers in the context they need.
 *
 * @category constructors
 * @since 0.1.0
 */
export const router = <R>(options: Options<R>): Effect.Effect<Router, never, R> =>
  Effect.map(
    Effect.forEach(options.handlers, (handlers) => handlers.build),
    (built) =>
      new Map(
        built.flat().map(({ arrows, method }) => [
          method.path,
          {
            method,
            arrows: Interceptor.apply(options.interceptor ?? Interceptor.identity, arrows)
          }
        ])
      )
  )
