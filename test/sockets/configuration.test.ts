/** Servers and connectors read their bounds from configuration, nested ones too. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Layer } from "effect"
import { Server } from "trunkline"
import { GrpcJsServer } from "trunkline/grpc-js"
import { Http2Server } from "trunkline/http2"
import { echoHandlers } from "../support/echo.ts"
import { client, flags, portOf, types } from "../support/handFrames.ts"

const options = {
  handlers: Config.succeed([echoHandlers("a")]),
  maxConcurrentCalls: Config.Number("CALLS"),
  drainTimeout: Config.Number("DRAIN_MILLIS"),
  keepalive: { time: Config.Number("KEEPALIVE_MILLIS"), timeout: Config.Number("KEEPALIVE_MILLIS") }
}

const env = { CALLS: "7", DRAIN_MILLIS: "0", KEEPALIVE_MILLIS: "50" }

describe.each([
  ["grpc-js", () => GrpcJsServer.layerConfig(options)],
  ["HTTP/2", () => Http2Server.layerConfig(options)]
] as const)("%s", (_, layer) => {
  it.live("a server advertises the calls it takes, and pings as often as it is told", () =>
    Effect.gen(function* () {
      const provider = ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
      const { address } = Context.get(yield* Layer.build(Layer.provide(layer(), provider)), Server.Server)
      const { await: awaitFrame, closed } = yield* client({ port: portOf(address) })
      const { payload } = yield* awaitFrame(({ flags: f, type }) => type === types.settings && (f & flags.ack) === 0)
      const values = new Map<number, number>()
      for (let at = 0; at < payload.length; at += 6) values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
      assert.strictEqual(values.get(3), 7)
      yield* awaitFrame(({ flags: f, type }) => type === types.ping && (f & flags.ack) === 0)
      // Nobody answers the ping.
      yield* closed
    })
  )
})
