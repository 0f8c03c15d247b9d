/** What a call says when its server cannot be reached: what happened, where, and what to do; the same on both wires. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { CallOptions, Endpoint, RpcError, StaticDiscovery } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { type Adapter, adapters, type ConnectorOptions } from "../support/adapters.ts"
import { issued, root } from "../support/certificateAuthority.ts"
import { clientOf } from "../support/socketClient.ts"
import { closedPort, hangingUp, http1, https1, proxy } from "../support/hostilePeers.ts"

interface Mistake {
  readonly address: string
  readonly authority?: string
  readonly connector?: ConnectorOptions
  /** A proxy's address. */
  readonly by?: string
}

const serve = (adapter: Adapter, tls?: Parameters<Adapter["serve"]>[0]["tls"]) =>
  Effect.map(adapter.serve({ handlers: [echoHandlers("a")], tls }), ({ address }) => address)

/** What a call says, its numbers replaced. */
const saidOf = (adapter: Adapter, { address, authority, by, connector }: Mistake) =>
  Effect.gen(function* () {
    const found = Endpoint.parse(address)
    assert(found._tag === "Success")
    const endpoint = Endpoint.make(found.success.address, { authority })
    const discovery = StaticDiscovery.make([endpoint])
    const echo = yield* clientOf(adapter, [], { connector: { proxy: false, ...connector }, pool: { discovery } })
    const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline("8 seconds")))
    assert(RpcError.isRpcError(error))
    const [, said] = /^\[UNAVAILABLE\] .* has 1 peer, not ready; (?:waited \d+ ms|did not wait); (.*)$/s.exec(
      error.message
    ) ?? ["", error.message]
    const hidden = said!.replaceAll(address, "SERVER")
    return by === undefined ? hidden : hidden.replaceAll(by, "PROXY")
  })

type Make = (adapter: Adapter) => Effect.Effect<Mistake, unknown, Scope.Scope>

const secured = (adapter: Adapter, subject: Parameters<typeof issued>[1], clientCa?: string) =>
  Effect.gen(function* () {
    const ca = yield* root
    const pair = yield* issued(ca, subject)
    const address = yield* serve(adapter, clientCa === undefined ? pair : { ...pair, clientCa })
    return { address, ca: ca.cert, pair }
  })

const past = new Date("2024-05-01T00:00:00Z")

const mistakes: ReadonlyArray<readonly [string, string, Make]> = [
  [
    "a port nobody listens on",
    "SERVER Down (connection refused by SERVER (ECONNREFUSED): is the server running, and is this its port?)",
    () => Effect.map(closedPort, (address) => ({ address }))
  ],
  [
    "a host that is not in DNS",
    "SERVER Down (there is no host nowhere.invalid (ENOTFOUND): is the name spelled right, and does DNS know it?)",
    () => Effect.succeed({ address: "nowhere.invalid:50051" })
  ],
  [
    "a Unix socket that is not there",
    "SERVER Down (there is no socket /nowhere/x.sock (ENOENT): is the server running, and is this its path?)",
    () => Effect.succeed({ address: "unix:/nowhere/x.sock" })
  ],
  [
    "plain text to a server with TLS",
    "SERVER Down (SERVER hung up before it said a word of HTTP/2: the server may expect TLS (option `tls`))",
    (adapter) => Effect.map(secured(adapter, { name: "localhost" }), ({ address }) => ({ address }))
  ],
  [
    "TLS to a server without it",
    "SERVER Down (SERVER hung up during the TLS handshake: the server may not speak TLS; connect without `tls`, or is this another port?)",
    () => Effect.map(hangingUp, (address) => ({ address, connector: { tls: {} } }))
  ],
  [
    "TLS to a server that answers in plain text",
    "SERVER Down (what SERVER answers is not TLS (wrong version number): the server may not speak TLS; connect without `tls`, or is this another port?)",
    () => Effect.map(http1, (address) => ({ address, connector: { tls: {} } }))
  ],
  [
    "an authority that is not trusted",
    "SERVER Down (the certificate of SERVER is from an authority that is not trusted here (UNABLE_TO_VERIFY_LEAF_SIGNATURE): give the authority that has signed it as `tls.ca`, or in NODE_EXTRA_CA_CERTS)",
    (adapter) =>
      Effect.map(secured(adapter, { name: "localhost" }), ({ address }) => ({ address, connector: { tls: {} } }))
  ],
  [
    "an authority other than the one that is trusted",
    "SERVER Down (the certificate of SERVER is from an authority that is not trusted here (UNABLE_TO_VERIFY_LEAF_SIGNATURE): does `tls.ca` hold the authority that has signed it, and does the server send the certificates between?)",
    (adapter) =>
      Effect.gen(function* () {
        const { address } = yield* secured(adapter, { name: "localhost" })
        const { cert } = yield* root
        return { address, connector: { tls: { ca: cert } } }
      })
  ],
  [
    "a certificate for another name",
    'SERVER Down (the certificate of SERVER is not for "127.0.0.1", but for DNS:other.example (ERR_TLS_CERT_ALTNAME_INVALID): connect by a name it has, or set the endpoint\'s `authority` to one)',
    (adapter) =>
      Effect.map(secured(adapter, { name: "other.example" }), ({ address, ca }) => ({
        address,
        connector: { tls: { ca } }
      }))
  ],
  [
    "a certificate that has expired",
    "SERVER Down (the certificate of SERVER has expired (CERT_HAS_EXPIRED): the server needs a new one; is this clock right?)",
    (adapter) =>
      Effect.map(secured(adapter, { name: "localhost", until: past }), ({ address, ca }) => ({
        address,
        authority: "localhost",
        connector: { tls: { ca } }
      }))
  ],
  [
    "authorities that are not PEM",
    "SERVER Down (`tls.ca` holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----)",
    () => Effect.succeed({ address: "127.0.0.1:1", connector: { tls: { ca: "rubbish" } } })
  ],
  [
    "half a certificate",
    "SERVER Down (`tls.ca` ends within a certificate: is the file whole?)",
    () => Effect.map(root, ({ cert }) => ({ address: "127.0.0.1:1", connector: { tls: { ca: cert.slice(0, 200) } } }))
  ],
  [
    "a key that is not the certificate's",
    "SERVER Down (`tls.key` is not the key of the first certificate in `tls.cert`)",
    () =>
      Effect.gen(function* () {
        const { cert } = yield* root
        const { key } = yield* root
        return { address: "127.0.0.1:1", connector: { tls: { cert, key } } }
      })
  ],
  [
    "a certificate without its key",
    "SERVER Down (`tls.cert` is given without `tls.key`)",
    () => Effect.map(root, ({ cert }) => ({ address: "127.0.0.1:1", connector: { tls: { cert } } }))
  ],
  [
    "a server with TLS for HTTP/1",
    "SERVER Down (SERVER speaks TLS, but not HTTP/2 (ALPN): it may be an HTTP/1 server; is this the port for gRPC?)",
    () =>
      Effect.gen(function* () {
        const ca = yield* root
        const address = yield* https1(yield* issued(ca, { name: "localhost" }))
        return { address, authority: "localhost", connector: { tls: { ca: ca.cert } } }
      })
  ],
  [
    "a server for HTTP/1",
    "SERVER Down (what SERVER answers is not HTTP/2: it may be an HTTP/1 server, or one that expects TLS (option `tls`))",
    () => Effect.map(http1, (address) => ({ address }))
  ],
  [
    "a server that hangs up at once",
    "SERVER Down (SERVER hung up before it said a word of HTTP/2: the server may expect TLS (option `tls`))",
    () => Effect.map(hangingUp, (address) => ({ address }))
  ],
  [
    "a proxy that is not there",
    "SERVER Down (connection refused by proxy PROXY (from option proxy) (ECONNREFUSED): is the proxy running?)",
    () =>
      Effect.map(closedPort, (by) => ({ address: "127.0.0.1:1", by, connector: { proxy: `http://a:secret@${by}` } }))
  ],
  [
    "a proxy that knows nobody by that password",
    "SERVER Down (proxy PROXY (from option proxy) answered 407 Proxy Authentication Required when asked to connect to SERVER: are the user and the password in its URL right?)",
    () =>
      Effect.map(proxy("407 Proxy Authentication Required"), ({ address: by }) => ({
        address: "127.0.0.1:1",
        by,
        connector: { proxy: `http://a:secret@${by}` }
      }))
  ],
  [
    "a proxy that cannot reach the server",
    "SERVER Down (proxy PROXY (from option proxy) answered 502 Bad Gateway when asked to connect to SERVER: can it reach the server?)",
    () =>
      Effect.map(proxy("502 Bad Gateway"), ({ address: by }) => ({
        address: "127.0.0.1:1",
        by,
        connector: { proxy: `http://${by}` }
      }))
  ],
  [
    "a proxy that hangs up",
    "SERVER Down (proxy PROXY (from option proxy) hung up when asked to connect to SERVER: is it an HTTP proxy?)",
    () => Effect.map(hangingUp, (by) => ({ address: "127.0.0.1:1", by, connector: { proxy: `http://${by}` } }))
  ],
  [
    "a proxy's URL that is none",
    "SERVER Down (option proxy: a proxy is written http://host:port)",
    () => Effect.succeed({ address: "127.0.0.1:1", connector: { proxy: "a:secret@proxy:3128" } })
  ]
]

describe.each(adapters)("$name", (adapter) => {
  it.live.each(mistakes)("%s", ([, expected, make]) =>
    Effect.gen(function* () {
      const mistake = yield* make(adapter)
      assert.strictEqual(yield* saidOf(adapter, mistake), expected)
    })
  )

  it.live("a client without a certificate where one is demanded", () =>
    Effect.gen(function* () {
      const clients = yield* root
      const { address, ca } = yield* secured(adapter, { name: "localhost" }, clients.cert)
      const said = yield* saidOf(adapter, { address, authority: "localhost", connector: { tls: { ca } } })
      // Node's servers hang up; those of others say why.
      assert.match(
        said,
        /it may demand a client certificate \(`tls\.cert` and `tls\.key`\)|demands a client certificate/
      )
    })
  )
})
