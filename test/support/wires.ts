/** The ways of carrying calls that every call test runs on. */
import { it } from "@effect/vitest"
import { type Duration, Effect, Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Handlers, Server } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import { Http2Connector, Http2Server } from "trunkline/http2"
import type { Connector } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"

/** Starts a server and says where it is. */
export type Serve = (
  handlers: ReadonlyArray<Handlers.Handlers>
) => Effect.Effect<string, Server.BindError | Server.MethodCollision, TestNetwork.TestNetwork | Scope.Scope>

export interface Wire {
  readonly name: string
  /** Tests with virtual time in memory, with real time on sockets. */
  readonly it: typeof it.effect
  readonly serve: Serve
  /** Lets time pass: virtual in memory, real on sockets. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
  readonly layer: Layer.Layer<Connector.Connector | TestNetwork.TestNetwork>
}

let hosts = 0

export const memory: Wire = {
  name: "in memory",
  it: it.effect,
  serve: Effect.fnUntraced(function* (handlers) {
    const network = yield* TestNetwork.TestNetwork
    const address = `host-${++hosts}:1`
    yield* network.serve(address, { handlers })
    return address
  }),
  pass: (duration) => TestClock.adjust(duration),
  layer: TestNetwork.layer
}

export const sockets: Wire = {
  name: "on sockets",
  it: it.live as typeof it.effect,
  serve: (handlers) =>
    Effect.map(GrpcJsServer.make({ handlers, drainTimeout: "1 second" }), (server) => server.address),
  pass: (duration) => Effect.sleep(duration),
  layer: Layer.merge(TestNetwork.layer, GrpcJsConnector.layer())
}

export const http2: Wire = {
  ...sockets,
  name: "on HTTP/2",
  serve: (handlers) => Effect.map(Http2Server.make({ handlers, drainTimeout: "1 second" }), (server) => server.address),
  layer: Layer.merge(TestNetwork.layer, Layer.orDie(Http2Connector.layer()))
}

export const wires: ReadonlyArray<Wire> = [memory, sockets, http2]
