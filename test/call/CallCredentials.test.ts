import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import {
  Balancer,
  CallCredentials,
  CallOptions,
  Client,
  Handlers,
  Metadata,
  RoundRobin,
  RpcError,
  StaticDiscovery
} from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"
import { adapters } from "../support/adapters.ts"
import { selfSigned } from "../support/certificate.ts"

/** Answers with the authorization a call came with. */
const whoami = Handlers.partial(EchoService, {
  echo: (_, call) => Effect.succeed({ text: Metadata.getAll(call.metadata, "authorization").join() }),
  expand: (_, call) => Stream.make({ text: Metadata.getAll(call.metadata, "authorization").join() })
})

const clientOf = (address: string) =>
  Effect.gen(function* () {
    const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
    const transport = yield* Layer.build(pool)
    return yield* Effect.provideContext(Client.make(EchoService), transport)
  })

/** Says in the token who it is for. */
const forTarget: CallCredentials.CallCredentials = ({ authority, method, service }) =>
  Effect.succeed({ authorization: `${authority} ${service} ${method}` })

describe.each(adapters)("over $name", ({ connector, serve }) => {
  it.live("credentials know who they are for, in every kind of call", () =>
    Effect.gen(function* () {
      const tls = yield* selfSigned("localhost")
      const { address } = yield* serve({ handlers: [whoami], tls, drainTimeout: "1 second" })
      const target = `localhost:${address.split(":")[1]}`
      const client = yield* Effect.provide(clientOf(target), connector({ tls: { ca: tls.cert } }))
      const expected = (name: string) => `${target} trunkline.test.EchoService /trunkline.test.EchoService/${name}`
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* client.echo({})).text, expected("Echo"))
        assert.strictEqual((yield* Stream.runCollect(client.expand({})))[0]!.text, expected("Expand"))
      }).pipe(CallOptions.withCredentials(forTarget))
      assert.strictEqual((yield* client.echo({})).text, "")
    })
  )

  it.live("they are not shown on a wire without TLS, nor is the call", () =>
    Effect.gen(function* () {
      let calls = 0
      const counting = Handlers.partial(EchoService, { echo: () => Effect.sync(() => ({ index: ++calls })) })
      const { address } = yield* serve({ handlers: [counting], drainTimeout: "1 second" })
      const client = yield* Effect.provide(clientOf(address), connector())
      const error = yield* Effect.flip(client.echo({}).pipe(CallOptions.withCredentials(forTarget)))
      assert.deepStrictEqual([error.code, error.progress], ["UNAUTHENTICATED", "not_started"])
      assert.include(error.message, `not sent to ${address} without TLS`)
      assert.strictEqual(calls, 0)
    })
  )
})

describe("in memory", () => {
  const start = Effect.gen(function* () {
    const network = yield* TestNetwork.TestNetwork
    yield* network.serve("host:1", { handlers: [whoami] })
    return yield* clientOf("host:1")
  })

  it.effect("a bearer token", () =>
    Effect.gen(function* () {
      const client = yield* start
      const asAda = CallOptions.withCredentials(CallCredentials.bearer(Effect.succeed("a-token")))
      assert.strictEqual((yield* client.echo({}).pipe(asAda)).text, "Bearer a-token")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("replaces the call's own value of the key", () =>
    Effect.gen(function* () {
      const client = yield* start
      const call = client
        .echo({})
        .pipe(
          CallOptions.withMetadata({ authorization: "mine" }),
          CallOptions.withCredentials(CallCredentials.bearer(Effect.succeed("theirs")))
        )
      assert.strictEqual((yield* call).text, "Bearer theirs")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect.each([
    ["a failure of its own", Effect.fail("no"), "UNAUTHENTICATED", "no credentials for host:1"],
    ["a status", Effect.fail(RpcError.make("UNAVAILABLE", "later")), "UNAVAILABLE", "later"],
    ["a value the protocol does not allow", Effect.succeed("a\nb"), "UNAUTHENTICATED", "authorization"]
  ] as const)("that cannot be had: %s", ([, token, code, message]) =>
    Effect.gen(function* () {
      const client = yield* start
      const error = yield* Effect.flip(
        client
          .echo({})
          .pipe(CallOptions.withCredentials(CallCredentials.bearer(token as Effect.Effect<string, unknown>)))
      )
      assert.strictEqual(error.code, code)
      assert.include(error.message, message)
      assert.notInclude(error.message, "a\nb")
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
