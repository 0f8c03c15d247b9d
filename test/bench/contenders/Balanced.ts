/** The promise: everything on. Three backends, power of two over Peak EWMA, a retry policy, both kinds of deadline. */
import { Effect, Layer } from "effect"
import { Backoff, Balancer, GrpcJsConnector, PeakEwma, PowerOfTwo, Retry, StaticDiscovery } from "trunkline"
import type { Contender } from "../Contender.ts"
import * as EchoCalls from "./EchoCalls.ts"

export const balanced: Contender = {
  name: "trunkline",
  about: "three connections, P2C over Peak EWMA, a retry policy, a deadline, a timeout per attempt",
  open: Effect.fnUntraced(function* (targets) {
    const backends = Balancer.layer({
      discovery: StaticDiscovery.make(targets),
      picker: PowerOfTwo.make({ load: PeakEwma.make() })
    }).pipe(Layer.provide(GrpcJsConnector.layer()))
    const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
    return yield* EchoCalls.over(Layer.merge(backends, Retry.layer(policy)))
  })
}
