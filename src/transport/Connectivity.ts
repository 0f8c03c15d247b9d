/**
 * The states of a connection, as gRPC names them.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md
 */
import { Data } from "effect"

/**
 * A connection's state. `TransientFailure` says what went wrong.
 *
 * @category models
 * @since 0.1.0
 */
export type Connectivity = Data.TaggedEnum<{
  Idle: {}
  Connecting: {}
  Ready: {}
  TransientFailure: { readonly cause: string }
  Shutdown: {}
}>

/**
 * Constructors and matchers of the states.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Connectivity = Data.taggedEnum<Connectivity>()
