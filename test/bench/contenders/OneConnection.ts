/** The same client straight over one connection: what is left when balancing and retries are taken away. */
import { Effect, Layer, Result } from "effect"
import { Endpoint, Transport } from "trunkline"
import { GrpcJsConnector } from "trunkline/grpc-js"
import { Connector } from "trunkline/extend"
import type { Contender } from "../Contender.ts"
import * as EchoCalls from "./EchoCalls.ts"

const connection = Effect.fnUntraced(function* (target: string) {
  const connector = yield* Connector.Connector
  const { transport } = yield* connector.connect(Result.getOrThrow(Endpoint.parse(target)))
  return transport
})

export const oneConnection: Contender = {
  name: "trunkline, no balancer",
  about: "one connection, a deadline, a timeout per attempt",
  open: ([target]) =>
    EchoCalls.over(Layer.effect(Transport.Transport, connection(target!)).pipe(Layer.provide(GrpcJsConnector.layer())))
}
