/** The promise: everything on. Three backends, power of two over Peak EWMA, a retry policy, both kinds of deadline. */
import { Effect, Layer } from "effect"
import { Backoff, Balancer, PeakEwma, PowerOfTwo, Retry, StaticDiscovery } from "trunkline"
import { GrpcJsConnector } from "trunkline/grpc-js"
import { Http2Connector } from "trunkline/http2"
import type { Connector } from "trunkline/extend"
import type { Contender } from "../Contender.ts"
import * as EchoCalls from "./EchoCalls.ts"

const over = <E>(name: string, wire: string, connector: Layer.Layer<Connector.Connector, E>): Contender => ({
  name,
  about: `${wire}: three connections, P2C over Peak EWMA, a retry policy, a deadline, a timeout per attempt`,
  open: Effect.fnUntraced(function* (targets) {
    const backends = Balancer.layer({
      discovery: StaticDiscovery.make(targets),
      picker: PowerOfTwo.make({ load: PeakEwma.make() })
    }).pipe(Layer.provide(Layer.orDie(connector)))
    const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
    return yield* EchoCalls.over(Layer.merge(backends, Retry.layer(policy)))
  })
})

export const balanced: Contender = over("trunkline", "over grpc-js", GrpcJsConnector.layer())

export const balancedOverHttp2: Contender = over("trunkline, http2", "over node:http2", Http2Connector.layer())
