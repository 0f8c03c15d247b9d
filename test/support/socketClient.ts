/** A client of addresses over one of the adapters. */
import { Effect, Layer, Schedule } from "effect"
import { Balancer, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import type { Adapter, ConnectorOptions } from "./adapters.ts"

interface Options {
  readonly connector?: ConnectorOptions
  readonly pool?: Partial<Balancer.Options>
}

/** The transport to some addresses. */
export const transportOf = (adapter: Adapter, addresses: ReadonlyArray<string>, options: Options = {}) =>
  Effect.suspend(() => {
    const layer = Balancer.layer({
      discovery: StaticDiscovery.make(addresses),
      picker: RoundRobin.make(),
      reconnect: Schedule.spaced("20 millis"),
      ...options.pool
    })
    return Layer.build(Layer.provide(layer, adapter.connector(options.connector)))
  })

/** A client of the echo service at some addresses. */
export const clientOf = (adapter: Adapter, addresses: ReadonlyArray<string>, options: Options = {}) =>
  Effect.flatMap(transportOf(adapter, addresses, options), (transport) =>
    Effect.provideContext(Client.make(EchoService), transport)
  )
