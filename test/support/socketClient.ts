/** A client of addresses over one of the adapters. */
import { Effect, Layer, Schedule } from "effect"
import { Balancer, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import type { Adapter, ConnectorOptions } from "./adapters.ts"

export const clientOf = (
  adapter: Adapter,
  addresses: ReadonlyArray<string>,
  options: { readonly connector?: ConnectorOptions; readonly pool?: Partial<Balancer.Options> } = {}
) =>
  Effect.gen(function* () {
    const layer = Balancer.layer({
      discovery: StaticDiscovery.make(addresses),
      picker: RoundRobin.make(),
      reconnect: Schedule.spaced("20 millis"),
      ...options.pool
    })
    const transport = yield* Layer.build(Layer.provide(layer, adapter.connector(options.connector)))
    return yield* Effect.provideContext(Client.make(EchoService), transport)
  })
