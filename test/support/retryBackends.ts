/** Three backends on the network in memory that answer as the test says, a client of them, and what they saw. */
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, Handlers, RoundRobin, type RpcError, type ServerCall, StaticDiscovery } from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { Letters } from "./scripted.ts"

/** A call as a backend saw it. */
export interface Served {
  readonly host: string
  readonly at: number
  /** What `grpc-previous-rpc-attempts` said. */
  readonly previous: unknown
  cancelled: boolean
}

/** How a backend answers the n-th call, from 1. */
export interface Script {
  readonly one?: (n: number, call: ServerCall.ServerCall) => Effect.Effect<string, RpcError.RpcError>
  readonly many?: (n: number, call: ServerCall.ServerCall) => Stream.Stream<string, RpcError.RpcError>
  readonly chat?: (
    n: number,
    requests: Stream.Stream<string, RpcError.RpcError>
  ) => Stream.Stream<string, RpcError.RpcError>
  readonly sum?: (
    n: number,
    requests: Stream.Stream<string, RpcError.RpcError>
  ) => Effect.Effect<string, RpcError.RpcError>
}

export const hosts = ["a:1", "b:1", "c:1"]

/** The client takes its policies from the context. */
export const backends = Effect.fnUntraced(function* (script: Script) {
  const network = yield* TestNetwork.TestNetwork
  const served: Array<Served> = []
  const seen = (host: string, call: ServerCall.ServerCall): Served => {
    const at = call.clock.currentTimeMillisUnsafe()
    const entry = { host, at, previous: call.metadata.get("grpc-previous-rpc-attempts")?.[0], cancelled: false }
    served.push(entry)
    return entry
  }
  for (const host of hosts) {
    const handlers = Handlers.make(Letters, {
      one: (_, call) =>
        Effect.suspend(() => {
          const entry = seen(host, call)
          return (script.one?.(served.length, call) ?? Effect.succeed("one")).pipe(
            Effect.onInterrupt(() => Effect.sync(() => void (entry.cancelled = true)))
          )
        }),
      many: (_, call) =>
        Stream.suspend(() => {
          const entry = seen(host, call)
          return (script.many?.(served.length, call) ?? Stream.make("many")).pipe(
            Stream.onExit((exit) =>
              Effect.sync(
                () =>
                  void (entry.cancelled =
                    exit._tag === "Failure" && exit.cause.reasons.some((r) => r._tag === "Interrupt"))
              )
            )
          )
        }),
      chat: (requests, call) =>
        Stream.suspend(() => {
          seen(host, call)
          return script.chat?.(served.length, requests) ?? requests
        }),
      sum: (requests, call) =>
        Effect.suspend(() => {
          seen(host, call)
          return script.sum?.(served.length, requests) ?? Effect.succeed("sum")
        })
    })
    yield* network.serve(host, { handlers: [handlers] })
  }
  const pool = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })
  const context = yield* Layer.build(Layer.orDie(pool))
  const letters = yield* Client.make(Letters).pipe(Effect.provideContext(context))
  const { peers } = yield* PeerPool.PeerPool.pipe(Effect.provideContext(context))
  yield* TestClock.adjust(0)
  /** Calls that hold a lease now. */
  const pending = () => peers().reduce((sum, peer) => sum + peer.stats.pending, 0)
  /** Leases taken, and how they ended. */
  const leases = () => {
    const sum = { started: 0, succeeded: 0, failed: 0 }
    for (const { stats } of peers()) {
      sum.started += stats.started
      sum.succeeded += stats.succeeded
      sum.failed += stats.failed
    }
    return sum
  }
  return { letters, served, network, pending, leases }
})

/** Lets what is under way go on, without time passing. */
export const settle = TestClock.adjust(0)
