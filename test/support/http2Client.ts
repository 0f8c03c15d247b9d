/** A client over the HTTP/2 connector. */
import { Effect, Layer, Schedule } from "effect"
import { Balancer, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { Http2Connector } from "trunkline/http2"
import { EchoService } from "../gen/echo_pb.ts"

export const clientOf = (addresses: ReadonlyArray<string>, options?: Http2Connector.Options) =>
  Effect.gen(function* () {
    const pool = Balancer.layer({
      discovery: StaticDiscovery.make(addresses),
      picker: RoundRobin.make(),
      reconnect: Schedule.spaced("50 millis")
    })
    const transport = yield* Layer.build(Layer.provide(pool, Http2Connector.layer(options)))
    return yield* Effect.provideContext(Client.make(EchoService), transport)
  })
