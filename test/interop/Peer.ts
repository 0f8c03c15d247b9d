/** The server under test, as our cases call it. */
import { Effect, Layer, Result, type Scope, Stream } from "effect"
import {
  Balancer,
  Client,
  Endpoint,
  type LoadReport,
  PickFirst,
  type RpcError,
  ServerLoad,
  StaticDiscovery
} from "trunkline"
import { GrpcJsConnector } from "trunkline/grpc-js"
import { Http2Connector } from "trunkline/http2"
import type { Connector, Discovery } from "trunkline/extend"
import { TestService, UnimplementedService } from "../gen/interop_pb.ts"
import { testCa } from "./certificates.ts"
import { type ClientFlags, FlagError } from "./flags.ts"
import type { Soak } from "./Soak.ts"

export interface Peer {
  readonly test: Client.Client<typeof TestService>
  readonly unimplemented: Client.Client<typeof UnimplementedService>
  /** A client over connections of its own. */
  readonly another: Effect.Effect<Client.Client<typeof TestService>, Discovery.DiscoveryError, Scope.Scope>
  /** What the server says of its load, apart from calls. */
  readonly load: Stream.Stream<LoadReport.LoadReport, RpcError.RpcError>
  /** How many calls concurrent_large_unary has under way at one time. */
  readonly concurrentCalls: number
  /** A client that may have two connections, of a server that takes two calls on each. */
  readonly scaling: Effect.Effect<Client.Client<typeof TestService>, Discovery.DiscoveryError, Scope.Scope>
  readonly soak: Soak
}

/** Options that every connector understands. */
interface Options extends Pick<GrpcJsConnector.Options, "tls"> {
  /** Where the connector can have more than one. */
  readonly maxConnectionsPerEndpoint?: number | undefined
}

/** The wires there are, by the name `--connector` gives them. */
const connectors: Readonly<Record<string, (options: Options) => Layer.Layer<Connector.Connector>>> = {
  http2: (options) => Layer.orDie(Http2Connector.layer(options)),
  grpcjs: GrpcJsConnector.layer
}

const connectorOf = ({ caFile, connector, useTestCa, useTls }: ClientFlags, maxConnectionsPerEndpoint = 1) => {
  const layer = connectors[connector]
  if (layer === undefined) {
    throw new FlagError(`no connector ${connector}; there are ${Object.keys(connectors).join(", ")}`)
  }
  return layer({
    maxConnectionsPerEndpoint,
    ...(useTls ? { tls: useTestCa ? { ca: testCa(caFile) } : {} } : {})
  })
}

const endpointsOf = ({ host, hostOverride, ports }: ClientFlags): ReadonlyArray<Endpoint.Endpoint> =>
  ports.map((port) => {
    const { address } = Result.getOrThrow(Endpoint.parse(host, { port }))
    return Endpoint.make(address, { authority: hostOverride })
  })

/** The server the flags name, as one channel. */
export const make = Effect.fnUntraced(function* (
  flags: ClientFlags
): Effect.fn.Return<Peer, Discovery.DiscoveryError, Scope.Scope> {
  const channelTo = (flags: ClientFlags, connections: number) =>
    Layer.fresh(
      Layer.provide(
        Balancer.layer({ discovery: StaticDiscovery.make(endpointsOf(flags)), picker: PickFirst.make() }),
        connectorOf(flags, connections)
      )
    )
  const clientOf = (channel: ReturnType<typeof channelTo>) =>
    Effect.flatMap(Layer.build(channel), (other) => Effect.provideContext(Client.make(TestService), other))
  const channel = channelTo(flags, 1)
  const scalingFlags = flags.scalingPort === undefined ? flags : { ...flags, ports: [flags.scalingPort] }
  const transport = yield* Layer.build(channel)
  return {
    test: yield* Effect.provideContext(Client.make(TestService), transport),
    unimplemented: yield* Effect.provideContext(Client.make(UnimplementedService), transport),
    another: clientOf(channel),
    scaling: Effect.suspend(() => clientOf(channelTo(scalingFlags, 2))),
    load: Stream.provideContext(ServerLoad.watch(flags.reportIntervalMillis), transport),
    concurrentCalls: flags.concurrentCalls,
    soak: flags.soak
  }
})
