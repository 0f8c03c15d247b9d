/** In which content types messages travel, and which are refused. */
import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema, Stream } from "effect"
import { Balancer, Client, Handlers, RoundRobin, Service, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { frame } from "../../src/http2/Framing.ts"
import { echoHandlers } from "../support/echo.ts"
import { EchoRequestSchema, EchoService } from "../gen/echo_pb.ts"
import { adapters } from "../support/adapters.ts"
import { wires } from "../support/wires.ts"
import * as Raw from "../support/rawFrames.ts"

const JsonService = Service.make("demo.Json", {
  say: Service.unary(Schema.String, Schema.String),
  count: Service.serverStreaming(Schema.Int, Schema.Int),
  sum: Service.clientStreaming(Schema.Int, Schema.Int),
  talk: Service.bidiStreaming(Schema.String, Schema.String)
})

const jsonHandlers = Handlers.make(JsonService, {
  say: (text) => Effect.succeed(text),
  count: (to) => Stream.range(1, to),
  sum: (numbers) =>
    Stream.runFold(
      numbers,
      () => 0,
      (sum, number) => sum + number
    ),
  talk: (texts) => texts
})

const handlers = [echoHandlers("a"), jsonHandlers]
const json = frame(new TextEncoder().encode('"hello"'), false)
const proto = frame(toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: "hello" })), false)
const paths = { say: "/demo.Json/Say", talk: "/demo.Json/Talk", echo: "/trunkline.test.EchoService/Echo" }

const statusOf = ({ headers, trailers }: Raw.Said) => {
  const fields = headers["grpc-status"] === undefined ? trailers : headers
  return [fields["grpc-status"], fields["grpc-message"]]
}

/** A client's calls of all kinds. */
const callAll = (address: string) =>
  Effect.gen(function* () {
    const client = yield* Client.make(JsonService)
    const said = yield* client.say("hello")
    const counted = yield* Stream.runCollect(client.count(3))
    const sum = yield* client.sum(Stream.make(1, 2, 3))
    const talked = yield* Stream.runCollect(client.talk(Stream.make("a", "b")))
    return [said, counted, sum, talked]
  }).pipe(Effect.provide(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })))

describe.each(adapters)("a client over $name", ({ connector, name }) => {
  it.live.each([paths.say, paths.talk])("%s says how its messages are written", (path) =>
    Effect.gen(function* () {
      const seen: Array<string | undefined> = []
      const { address } = yield* Raw.serve((stream, headers) => {
        seen.push(headers["content-type"])
        stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true })
      })
      const call = Effect.gen(function* () {
        const { say, talk } = yield* Client.make(JsonService)
        return yield* path === paths.say ? say("hello") : Stream.runDrain(talk(Stream.make("hello")))
      })
      const exit = yield* Effect.exit(
        Effect.provide(
          call,
          Layer.provide(
            Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }),
            connector()
          )
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      // grpc-js has one content type for every request, which says nothing and so nothing wrong.
      assert.deepStrictEqual(seen, [name === "grpc-js" ? "application/grpc" : "application/grpc+json"])
    })
  )
})

describe.each(adapters)("a server over $name", ({ name, serve }) => {
  it.live.each<[string, string, Buffer]>([
    [paths.say, "application/grpc+json", json],
    [paths.say, "application/grpc", json],
    [paths.say, "application/grpc+proto", json],
    [paths.talk, "application/grpc+json", json],
    [paths.talk, "application/grpc", json],
    [paths.echo, "application/grpc", proto],
    [paths.echo, "application/grpc+proto", proto]
  ])("%s takes %s", ([path, type, message]) =>
    Effect.gen(function* () {
      const { address } = yield* serve({ handlers })
      const said = yield* Raw.request(address, { ":path": path, "content-type": type }, [message])
      assert.strictEqual(statusOf(said)[0], "0")
      assert.include(said.data.toString(), "hello")
      const answered = path === paths.echo ? "application/grpc+proto" : "application/grpc+json"
      assert.strictEqual(said.headers["content-type"], name === "grpc-js" ? answered : type)
    })
  )

  it.live("other types than gRPC's are HTTP 415", () =>
    Effect.gen(function* () {
      const { address } = yield* serve({ handlers })
      const said = yield* Raw.request(address, { ":path": paths.say, "content-type": "application/json" }, [json])
      assert.strictEqual(Number(said.headers[":status"]), 415)
    })
  )

  it.live.each(["Application/GRPC+JSON", "application/grpc+json;charset=utf-8"])("takes %s", (type) =>
    Effect.gen(function* () {
      const { address } = yield* serve({ handlers })
      const said = yield* Raw.request(address, { ":path": paths.say, "content-type": type }, [json])
      assert.deepStrictEqual([statusOf(said)[0], said.headers["content-type"]], ["0", "application/grpc+json"])
    })
  )

  it.live.each([paths.echo, paths.say, paths.talk])("%s refuses a subtype it does not read, with a status", (path) =>
    Effect.gen(function* () {
      const { address } = yield* serve({ handlers })
      const said = yield* Raw.request(address, { ":path": path, "content-type": "application/grpc+thrift" }, [json])
      const read = path === paths.echo ? "proto" : "json"
      assert.deepStrictEqual(statusOf(said), [
        "12",
        `${path} reads application/grpc+${read} and not application/grpc+thrift`
      ])
      assert.strictEqual(said.headers["content-type"], "application/grpc+thrift")
    })
  )

  it.live.each(["application/grpcxyz", "application/grpc-web", "application/grpc-web+proto", "application/grpc+"])(
    "%s is HTTP 415",
    (type) =>
      Effect.gen(function* () {
        const { address } = yield* serve({ handlers })
        const said = yield* Raw.request(address, { ":path": paths.say, "content-type": type }, [json])
        assert.deepStrictEqual([Number(said.headers[":status"]), statusOf(said)], [415, [undefined, undefined]])
      })
  )

  it.live.each(["GET", "PUT"])("%s is HTTP 415", (method) =>
    Effect.gen(function* () {
      const { address } = yield* serve({ handlers })
      const said = yield* Raw.request(address, { ":method": method, ":path": paths.say }, [])
      assert.deepStrictEqual([Number(said.headers[":status"]), statusOf(said)], [415, [undefined, undefined]])
    })
  )
})

describe.each(wires)("methods written with Schema $name", (wire) => {
  wire.it("carry all four kinds", () =>
    Effect.gen(function* () {
      const address = yield* wire.serve([jsonHandlers])
      assert.deepStrictEqual(yield* callAll(address), ["hello", [1, 2, 3], 6, ["a", "b"]])
    }).pipe(Effect.provide(wire.layer))
  )
})

describe("a subtype that the other side does not read", () => {
  // A service of JSON where the server has one of protobuf.
  const Other = Service.make("trunkline.test.EchoService", {
    echo: Service.unary(Schema.String, Schema.String),
    chat: Service.bidiStreaming(Schema.String, Schema.String)
  })
  it.effect.each(["echo", "chat"] as const)("is refused in memory as on a socket: %s", (name) =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [echoHandlers("a"), Handlers.partial(EchoService, {})] })
      const client = yield* Effect.provide(
        Client.make(Other),
        yield* Layer.build(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() }))
      )
      const error = yield* Effect.flip(
        name === "echo" ? client.echo("x") : Stream.runDrain(client.chat(Stream.make("x")))
      )
      assert.deepStrictEqual([error.code, error.origin], ["UNIMPLEMENTED", "remote"])
      assert.include(error.message, "reads application/grpc+proto and not application/grpc+json")
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})

describe("a server whose answer is not gRPC's", () => {
  it.live.each(["application/grpc-web", "application/grpcxyz"])("%s is no answer", (type) =>
    Effect.gen(function* () {
      const { address } = yield* Raw.serve((stream) => {
        stream.respond({ ":status": 200, "content-type": type })
        stream.end(json)
      })
      const http2 = adapters.find(({ name }) => name === "HTTP/2")!
      const error = yield* Effect.flip(Effect.flatMap(Client.make(JsonService), (client) => client.say("x"))).pipe(
        Effect.provide(
          Layer.provide(
            Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }),
            http2.connector()
          )
        )
      )
      assert.include(error.message, `the answer is not gRPC: HTTP status 200, content-type ${type}`)
    })
  )
})
