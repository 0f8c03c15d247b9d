/** What a server bears from its clients. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import * as http2 from "node:http2"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Handlers } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { type Adapter, adapters, type ServerOptions } from "../support/adapters.ts"
import { block, client, flags, frame, goAway, portOf, request, types } from "../support/handFrames.ts"

const echo = Handlers.partial(EchoService, {
  echo: () => Effect.succeed({ text: "hello" }),
  expand: () => Stream.never
})

const serve = (adapter: Adapter, options: Partial<ServerOptions>) =>
  Effect.map(adapter.serve({ handlers: [echo], drainTimeout: "1 second", ...options }), ({ address }) => ({
    address,
    port: portOf(address)
  }))

const headers = (id: number, method: string) =>
  frame(types.headers, flags.endHeaders, id, block(request(`/trunkline.test.EchoService/${method}`)))
const call = (id: number, method = "Echo") =>
  Buffer.concat([headers(id, method), frame(types.data, flags.endStream, id, Buffer.alloc(5))])

/** The status of one call of Node's own client. */
const answerOf = (
  session: http2.ClientHttp2Session,
  method: string,
  { isComplete }: { readonly isComplete: boolean }
) =>
  Effect.callback<unknown>((resume) => {
    const fields = {
      ":path": `/trunkline.test.EchoService/${method}`,
      "content-type": "application/grpc",
      te: "trailers"
    }
    const stream = session.request({ ":method": "POST", ...fields }, { endStream: false })
    const look = (found: http2.IncomingHttpHeaders) =>
      found["grpc-status"] === undefined ? undefined : resume(Effect.succeed(found["grpc-status"]))
    stream
      .on("error", () => {})
      .on("response", look)
      .on("trailers", look)
      .resume()
    stream.write(Buffer.alloc(5))
    if (isComplete) stream.end()
  })

const isGoAway = ({ type }: { readonly type: number }) => type === types.goAway
const isEnd = (id: number) => (found: { type: number; stream: number; flags: number }) =>
  found.type === types.headers && found.stream === id && (found.flags & flags.endStream) !== 0

const hasIpv6 = Effect.callback<boolean>((resume) => {
  const probe = createServer()
  probe.once("error", () => resume(Effect.succeed(false)))
  probe.listen(0, "::1", () => probe.close(() => resume(Effect.succeed(true))))
})

for (const adapter of adapters) {
  describe(`the bounds of ${adapter.name}`, () => {
    it.live("a thousand silent connections are gone after their time, and others stay", () =>
      Effect.gen(function* () {
        const { port } = yield* serve(adapter, { handshakeTimeout: "300 millis" })
        const speaking = yield* client({ port })
        const silent = yield* Effect.forEach(Array.from({ length: 100 }), () => client({ port }, { silent: true }))
        yield* Effect.forEach(silent, ({ closed }) => closed)
        speaking.send(call(1))
        yield* speaking.await(isEnd(1))
      })
    )

    it.live("connections beyond the limit are closed at once", () =>
      Effect.gen(function* () {
        const { port } = yield* serve(adapter, { maxConnections: 2 })
        const first = yield* client({ port })
        const second = yield* client({ port })
        yield* Effect.andThen(first.round, second.round)
        yield* (yield* client({ port })).closed
        second.send(call(1))
        yield* second.await(isEnd(1))
      })
    )

    it.live.each([
      [undefined, 1000],
      [7, 7]
    ] as ReadonlyArray<[number | undefined, number]>)("calls at one time: %s is advertised as %s", ([given, said]) =>
      Effect.gen(function* () {
        const { port } = yield* serve(adapter, { maxConcurrentCalls: given })
        const { await: awaitFrame } = yield* client({ port })
        const { payload } = yield* awaitFrame(({ flags: f, type }) => type === types.settings && f === 0)
        const settings = new Map<number, number>()
        for (let at = 0; at < payload.length; at += 6)
          settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
        assert.strictEqual(settings.get(3), said)
      })
    )

    it.live("a connection without calls is asked to leave after its time, one with a call is not", () =>
      Effect.gen(function* () {
        const { port } = yield* serve(adapter, { maxConnectionIdle: "200 millis" })
        const busy = yield* client({ port })
        busy.send(call(1, "Expand"))
        const idle = yield* client({ port })
        idle.send(call(1))
        yield* idle.await(isEnd(1))
        const { code } = goAway(yield* idle.await(isGoAway))
        assert.strictEqual(code, 0)
        yield* idle.closed
        yield* busy.round
        assert.isFalse(busy.received.some(isGoAway))
      })
    )

    it.live("an old connection is asked to leave, and its calls end after the grace", () =>
      Effect.gen(function* () {
        const { port } = yield* serve(adapter, { maxConnectionAge: "200 millis", maxConnectionAgeGrace: "200 millis" })
        const old = yield* client({ port })
        old.send(call(1, "Expand"))
        assert.strictEqual(goAway(yield* old.await(isGoAway)).code, 0)
        yield* old.closed
      })
    )

    it.live("a client that does not answer pings is gone, and so are its calls", () =>
      Effect.gen(function* () {
        const ended = yield* Deferred.make<void>()
        const expand = () => Stream.ensuring(Stream.never, Deferred.succeed(ended, undefined))
        const { port } = yield* serve(adapter, {
          handlers: [Handlers.partial(EchoService, { expand })],
          keepalive: { time: "100 millis", timeout: "100 millis" }
        })
        // The client of frames answers no ping.
        const mute = yield* client({ port })
        mute.send(call(1, "Expand"))
        yield* mute.await(({ flags: f, type }) => type === types.ping && f === 0)
        yield* mute.closed
        yield* Deferred.await(ended)
      })
    )

    it.live("it listens on a Unix socket", () =>
      Effect.gen(function* () {
        const path = join(tmpdir(), `trunkline-${process.pid}-${adapter.name.replace("/", "")}.sock`)
        const { address } = yield* serve(adapter, { path })
        assert.strictEqual(address, `unix:${path}`)
        const { await: awaitFrame, send } = yield* client({ path })
        send(call(1))
        yield* awaitFrame(isEnd(1))
      })
    )

    it.live("localhost is both families", () =>
      Effect.gen(function* () {
        const { address, port } = yield* serve(adapter, { host: "localhost" })
        assert.match(address, /^localhost:\d+$/)
        for (const host of (yield* hasIpv6) ? ["127.0.0.1", "::1"] : ["127.0.0.1"]) {
          const { await: awaitFrame, send } = yield* client({ port, host })
          send(call(1))
          yield* awaitFrame(isEnd(1))
        }
      })
    )

    it.live("a stop without calls does not wait for connections that say nothing", () =>
      Effect.gen(function* () {
        const listening = yield* Deferred.make<number>()
        const stopping = yield* Deferred.make<void>()
        const server = Effect.gen(function* () {
          const { port } = yield* serve(adapter, { drainTimeout: "1 hour" })
          yield* Deferred.succeed(listening, port)
          yield* Deferred.await(stopping)
        })
        const stopped = yield* Effect.forkScoped(Effect.scoped(server))
        const port = yield* Deferred.await(listening)
        const probe = yield* client({ port }, { silent: true })
        const quiet = yield* client({ port })
        yield* quiet.round
        yield* Deferred.succeed(stopping, undefined)
        yield* Fiber.join(stopped)
        yield* Effect.andThen(probe.closed, quiet.closed)
      })
    )

    it.live("calls that a stop cuts off end as UNAVAILABLE, also those whose request is not complete", () =>
      Effect.gen(function* () {
        const listening = yield* Deferred.make<string>()
        const begun = yield* Deferred.make<void>()
        const stopping = yield* Deferred.make<void>()
        const hangs = () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        const server = Effect.gen(function* () {
          const handlers = [Handlers.partial(EchoService, { echo: hangs, expand: () => Stream.never })]
          const { address } = yield* serve(adapter, { handlers, drainTimeout: "50 millis" })
          yield* Deferred.succeed(listening, address)
          yield* Deferred.await(stopping)
        })
        yield* Effect.forkScoped(Effect.scoped(server))
        const session = http2.connect(`http://${yield* Deferred.await(listening)}`)
        const calls = [
          answerOf(session, "Echo", { isComplete: true }),
          answerOf(session, "Expand", { isComplete: true }),
          answerOf(session, "Echo", { isComplete: false })
        ]
        const answers = yield* Effect.forkScoped(Effect.all(calls, { concurrency: "unbounded" }))
        yield* Deferred.await(begun)
        yield* Deferred.succeed(stopping, undefined)
        assert.deepStrictEqual(yield* Fiber.join(answers), ["14", "14", "14"])
      })
    )
  })
}

describe("pings of clients, on HTTP/2", () => {
  const adapter = adapters.find(({ name }) => name === "HTTP/2")!

  it.live("too many are answered with ENHANCE_YOUR_CALM and too_many_pings", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(adapter, {})
      const { await: awaitFrame, closed, round } = yield* client({ port })
      yield* Effect.forkScoped(Effect.forever(round))
      assert.deepStrictEqual(goAway(yield* awaitFrame(isGoAway)), { code: 11, text: "too_many_pings" })
      yield* closed
    })
  )

  it.live("answers in between forgive them", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(adapter, {})
      const { await: awaitFrame, received, round, send } = yield* client({ port })
      for (let id = 1; id < 40; id += 2) {
        yield* round
        send(call(id))
        yield* awaitFrame(isEnd(id))
      }
      assert.isFalse(received.some(isGoAway))
    })
  )

  it.live("a time that was chosen holds", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(adapter, { pings: { minTime: 0, permitWithoutCalls: true } })
      const { received, round } = yield* client({ port })
      for (let i = 0; i < 20; i++) yield* round
      assert.isFalse(received.some(isGoAway))
    })
  )

  it.live("a connection that makes no call in time is asked to leave, also in the middle of its headers", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(adapter, { firstCallTimeout: "200 millis" })
      const quiet = yield* client({ port })
      const slow = yield* client({ port })
      slow.send(frame(types.headers, 0, 1, block(request("/trunkline.test.EchoService/Echo"))))
      yield* quiet.closed
      yield* slow.closed
    })
  )
})
