/** Connections through proxies, on both wires. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { echoHandlers } from "../support/echo.ts"
import { adapters } from "../support/adapters.ts"
import { issued, root } from "../support/certificateAuthority.ts"
import { clientOf } from "../support/socketClient.ts"
import { proxy } from "../support/hostilePeers.ts"

const names = ["grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"]

/** Runs with these variables and no other one about proxies. */
const withEnvironment = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = names.map((name) => [name, process.env[name]] as const)
      for (const name of names) delete process.env[name]
      Object.assign(process.env, variables)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
  )

describe.each(adapters)("$name", (adapter) => {
  const serve = Effect.map(adapter.serve({ handlers: [echoHandlers("a")] }), ({ address }) => address)

  it.live("a proxy of the environment is asked for the server, with its login", () =>
    Effect.gen(function* () {
      const [address, through] = [yield* serve, yield* proxy()]
      yield* withEnvironment({ https_proxy: `http://ada:p%40ss@${through.address}` })
      const echo = yield* clientOf(adapter, [address])
      assert.strictEqual((yield* echo.lookup({ text: "hello" })).text, "hello")
      const authorization = `Basic ${Buffer.from("ada:p@ss").toString("base64")}`
      assert.deepStrictEqual(through.asked, [{ target: address, authorization }])
    })
  )

  it.live("who is listed in no_proxy is reached without it, and so is everybody where the option is false", () =>
    Effect.gen(function* () {
      const [address, through] = [yield* serve, yield* proxy()]
      yield* withEnvironment({ grpc_proxy: `http://${through.address}`, no_proxy: "127.0.0.0/8" })
      const listed = yield* clientOf(adapter, [address])
      yield* listed.lookup({})
      delete process.env["no_proxy"]
      const off = yield* clientOf(adapter, [address], { connector: { proxy: false } })
      yield* off.lookup({})
      assert.deepStrictEqual(through.asked, [])
      const on = yield* clientOf(adapter, [address])
      yield* on.lookup({})
      assert.strictEqual(through.asked.length, 1)
    })
  )

  it.live("an option is this proxy, and TLS goes through it to the server", () =>
    Effect.gen(function* () {
      const ca = yield* root
      const pair = yield* issued(ca, { name: "localhost" })
      const server = yield* adapter.serve({ handlers: [echoHandlers("a")], tls: pair })
      const through = yield* proxy()
      yield* withEnvironment({ no_proxy: "*" })
      const target = `localhost:${server.address.split(":")[1]}`
      const connector = { proxy: `http://${through.address}`, tls: { ca: ca.cert } }
      const echo = yield* clientOf(adapter, [target], { connector })
      assert.strictEqual((yield* echo.lookup({ text: "hello" })).text, "hello")
      // The proxy looks the name up.
      assert.deepStrictEqual(through.asked, [{ target, authorization: undefined }])
    })
  )
})
