/** Whom a client trusts, and who it is, on both wires. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Endpoint, type Tls, StaticDiscovery } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { type Adapter, adapters } from "../support/adapters.ts"
import { between, issued, root } from "../support/certificateAuthority.ts"
import { clientOf } from "../support/socketClient.ts"

const serve = (adapter: Adapter, tls: Tls.ServerTls, host?: string) =>
  Effect.map(adapter.serve({ handlers: [echoHandlers("a")], tls, host }), ({ address }) => {
    const parsed = Endpoint.parse(address)
    assert(parsed._tag === "Success")
    return parsed.success.address
  })

/** Whether a call to this address, under this name, is answered. */
const isServed = (
  adapter: Adapter,
  { address, authority, tls }: { address: Endpoint.Address; authority?: string | undefined; tls: Tls.ClientTls }
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const discovery = StaticDiscovery.make([Endpoint.make(address, { authority })])
      const echo = yield* clientOf(adapter, [], { connector: { tls, proxy: false }, pool: { discovery } })
      return Exit.isSuccess(yield* Effect.exit(echo.lookup({})))
    })
  )

describe.each(adapters)("$name", (adapter) => {
  it.live("an authority says what the certificate must be for, and never where the socket goes", () =>
    Effect.gen(function* () {
      const ca = yield* root
      const ips = ["127.0.0.9", "2001:db8::7"]
      const address = yield* serve(adapter, yield* issued(ca, { name: "greeter.test", ips }))
      const served = (authority?: string) => isServed(adapter, { address, authority, tls: { ca: ca.cert } })
      for (const name of ["greeter.test", "greeter.test:443", "127.0.0.9", "127.0.0.9:443", "[2001:db8::7]:443"]) {
        assert.isTrue(yield* served(name), name)
      }
      for (const name of ["other.test", "127.0.0.8", "[2001:db8::8]:443", undefined]) {
        assert.isFalse(yield* served(name), name)
      }
    })
  )

  it.live("a certificate for an address is one for connections to it", () =>
    Effect.gen(function* () {
      const ca = yield* root
      const v4 = yield* serve(adapter, yield* issued(ca, { name: "x.test", ips: ["127.0.0.1"] }))
      assert.isTrue(yield* isServed(adapter, { address: v4, tls: { ca: ca.cert } }))
      const v6 = yield* serve(adapter, yield* issued(ca, { name: "x.test", ips: ["::1"] }), "::1")
      assert.isTrue(yield* isServed(adapter, { address: v6, tls: { ca: ca.cert } }))
    })
  )

  it.live("PEM is text or bytes, and chains are followed", () =>
    Effect.gen(function* () {
      const ca = yield* root
      const middle = yield* between(ca)
      const own = yield* issued(middle, { name: "localhost" })
      const other = yield* root
      const bytes = (text: string) => new TextEncoder().encode(text)
      const whole = { key: bytes(own.key), cert: bytes(own.cert + middle.cert) }
      const authority = "localhost"
      const address = yield* serve(adapter, whole)
      assert.isTrue(yield* isServed(adapter, { address, authority, tls: { ca: bytes(other.cert + ca.cert) } }))
      assert.isTrue(yield* isServed(adapter, { address, authority, tls: { ca: ca.cert } }))
      assert.isFalse(yield* isServed(adapter, { address, authority, tls: { ca: other.cert } }))
      const short = yield* serve(adapter, own)
      assert.isFalse(yield* isServed(adapter, { address: short, authority, tls: { ca: ca.cert } }), "a link is missing")
    })
  )

  it.live("a server that asks for certificates serves those it trusts", () =>
    Effect.gen(function* () {
      const [ca, clients, strangers] = [yield* root, yield* root, yield* root]
      const own = yield* issued(ca, { name: "localhost" })
      const address = yield* serve(adapter, { ...own, clientCa: clients.cert })
      const served = (tls: Tls.ClientTls) => isServed(adapter, { address, authority: "localhost", tls })
      assert.isTrue(yield* served({ ca: ca.cert, ...(yield* issued(clients, { name: "me" })) }))
      assert.isFalse(yield* served({ ca: ca.cert, ...(yield* issued(strangers, { name: "me" })) }))
      assert.isFalse(yield* served({ ca: ca.cert }))
    })
  )

  it.live("a check of one's own stands in place of that for the name, and not of that for the authority", () =>
    Effect.gen(function* () {
      const ca = yield* root
      const address = yield* serve(adapter, yield* issued(ca, { name: "spiffe.test" }))
      const asked: Array<readonly [string, string | undefined]> = []
      const served = (checkServerIdentity: Tls.ClientTls["checkServerIdentity"], authority?: string) =>
        isServed(adapter, { address, authority, tls: { ca: ca.cert, checkServerIdentity } })
      const accept = (name: string, { subjectaltname }: Tls.ServerCertificate) => {
        asked.push([name, subjectaltname])
        return undefined
      }
      assert.isTrue(yield* served(accept))
      assert.isTrue(yield* served(accept, "other.test:443"))
      assert.deepStrictEqual(asked, [
        ["127.0.0.1", "DNS:spiffe.test"],
        ["other.test", "DNS:spiffe.test"]
      ])
      assert.isFalse(yield* served(() => new Error("not you"), "spiffe.test"))
      const throwing = () => {
        throw new Error("oops")
      }
      assert.isFalse(yield* served(throwing, "spiffe.test"))
      const stranger = yield* root
      const tls = { ca: stranger.cert, checkServerIdentity: () => undefined }
      assert.isFalse(yield* isServed(adapter, { address, tls }))
    })
  )

  it.live("a server does not start with a certificate that cannot be used, and says which part it is", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* root, yield* root]
      const refused = (tls: Tls.ServerTls) =>
        Effect.map(Effect.flip(adapter.serve({ handlers: [], tls })), ({ message }) => message)
      const at = "cannot listen on 127.0.0.1:0: "
      assert.strictEqual(
        yield* refused({ key: other.key, cert: one.cert }),
        `${at}\`tls.key\` is not the key of the first certificate in \`tls.cert\``
      )
      assert.strictEqual(
        yield* refused({ ...one, clientCa: "x" }),
        `${at}\`tls.clientCa\` holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----`
      )
      assert.strictEqual(
        yield* refused({ ...one, key: one.key.slice(0, 60) }),
        `${at}\`tls.key\` holds a private key that cannot be read: is the file whole?`
      )
    })
  )
})
