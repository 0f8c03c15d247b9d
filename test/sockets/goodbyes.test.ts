/** Servers and proxies that end connections in good order, again and again, cost no call. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import type * as http2 from "node:http2"
import { Balancer, CallOptions, Client, PickFirst, RoundRobin, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import * as raw from "../support/rawFrames.ts"
import { adapters } from "../support/adapters.ts"

/** An empty message, and the status. */
const answer = (stream: http2.ServerHttp2Stream): void => {
  stream.resume()
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
    stream.end(Buffer.alloc(5))
  })
}

describe.each(adapters)("$name", ({ connector }) => {
  const clientOf = (options: Balancer.Options) =>
    Effect.gen(function* () {
      const layer = Balancer.layer(options).pipe(Layer.provide(Layer.orDie(connector())))
      return yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(layer))
    })

  it.live("a proxy that ends each connection after so many requests: calls one after the other, and many at once", () =>
    Effect.gen(function* () {
      const perConnection = 20
      const counts = new Map<http2.Http2Session, number>()
      const server = yield* raw.serve((stream) => {
        const session = stream.session!
        const count = (counts.get(session) ?? 0) + 1
        counts.set(session, count)
        answer(stream)
        if (count === perConnection) session.close()
      })
      const echo = yield* clientOf({ discovery: StaticDiscovery.make([server.address]), picker: PickFirst.make() })
      for (let i = 0; i < 100; i++) yield* echo.lookup({})
      assert.isAtLeast(server.seen(), 5)
      const exits = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.exit(echo.lookup({}).pipe(CallOptions.withDeadline("20 seconds"))),
        { concurrency: 8 }
      )
      assert.deepStrictEqual(exits.filter(Exit.isFailure), [])
    })
  )

  it.live("every server says goodbye on all of its connections at once, again and again", () =>
    Effect.gen(function* () {
      const servers: Array<raw.RawServer> = []
      let served = 0
      const storm = () => {
        for (const { sessions } of servers) for (const session of sessions) session.close()
      }
      for (let i = 0; i < 3; i++) {
        servers.push(
          yield* raw.serve((stream) => {
            answer(stream)
            if (++served % 50 === 0) storm()
          })
        )
      }
      const discovery = StaticDiscovery.make(servers.map(({ address }) => address))
      const echo = yield* clientOf({ discovery, picker: RoundRobin.make() })
      const calls = [
        echo.lookup({}),
        Stream.runDrain(echo.expand({})),
        echo.lookup({}).pipe(CallOptions.waitForReady),
        echo.lookup({}).pipe(CallOptions.withDeadline("20 seconds"))
      ]
      const exits = yield* Effect.forEach(
        Array.from({ length: 450 }, (_, i) => calls[i % calls.length]!),
        (call) => Effect.exit(call),
        { concurrency: 10 }
      )
      assert.deepStrictEqual(exits.filter(Exit.isFailure), [])
      assert.isAtLeast(
        servers.reduce((sum, { seen }) => sum + seen(), 0),
        15
      )
    })
  )
})
