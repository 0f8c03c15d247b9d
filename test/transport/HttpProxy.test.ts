/** Which way leads to an endpoint: gRPC's rules for proxies, as tables. */
import { assert, describe, it } from "@effect/vitest"
import { Endpoint, HttpProxy } from "trunkline"

const endpointOf = (text: string, authority?: string): Endpoint.Endpoint => {
  const parsed = Endpoint.parse(text)
  assert(parsed._tag === "Success")
  return Endpoint.make(parsed.success.address, { authority })
}

const proxied = (text: string, environment: Readonly<Record<string, string>>, authority?: string): boolean =>
  HttpProxy.route(endpointOf(text, authority), undefined, { http_proxy: "http://proxy", ...environment }).proxy !==
  undefined

describe("the environment", () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ["nothing", {}, undefined],
    [
      "grpc_proxy comes first",
      { grpc_proxy: "http://a:1", https_proxy: "http://b:2", http_proxy: "http://c:3" },
      "a:1"
    ],
    ["then https_proxy", { https_proxy: "http://b:2", http_proxy: "http://c:3" }, "b:2"],
    ["then http_proxy", { http_proxy: "http://c:3" }, "c:3"],
    ["an empty one is not set", { grpc_proxy: "", http_proxy: "http://c:3" }, "c:3"],
    ["without a port it is HTTP's", { http_proxy: "http://c" }, "c:80"],
    ["an IPv6 address", { http_proxy: "http://[::1]:3128" }, "::1:3128"],
    ["upper case is another variable", { HTTP_PROXY: "http://c:3" }, undefined],
    ["a scheme that is not http", { http_proxy: "https://c:3" }, undefined],
    ["no URL", { http_proxy: "c" }, undefined]
  ])("%s", (_, environment, expected) => {
    const { proxy } = HttpProxy.route(endpointOf("api.example.com:443"), undefined, environment)
    assert.strictEqual(proxy && `${proxy.host}:${proxy.port}`, expected)
  })

  it("that names no proxy is ignored, and said to be so without its password", () => {
    const environment = { https_proxy: "socks5://a:secret@c:3" }
    const { ignored, problem } = HttpProxy.route(endpointOf("a:1"), undefined, environment)
    assert.strictEqual(ignored, 'https_proxy: "socks5:" is no scheme for it; a proxy is written http://host:port')
    assert.isUndefined(problem)
  })

  it.each([
    ["http://ada:p%40ss@c:3", "ada:p@ss"],
    ["http://ada@c:3", "ada:"],
    ["http://ada:100%@c:3", "ada:100%"],
    ["http://c:3", undefined]
  ])("the login of %s", (http_proxy, expected) =>
    assert.strictEqual(HttpProxy.route(endpointOf("a:1"), undefined, { http_proxy }).proxy?.credentials, expected)
  )
})

describe("who is reached without a proxy", () => {
  it.each<[string, string, boolean]>([
    ["api.example.com:443", "example.com", true],
    ["api.example.com:443", ".example.com", true],
    ["example.com:443", ".example.com", false],
    ["API.Example.com:443", "a.org, EXAMPLE.com ,b.org", true],
    ["api.example.com:443", "example.org", false],
    ["api.example.com:443", "example", false],
    ["api.example.com:443", "a.org,,", false],
    ["api.example.com:443", "*", true],
    ["10.1.2.3:443", "10.1.2.3", true],
    ["10.1.2.3:443", "10.0.0.0/8", true],
    ["10.1.2.3:443", "10.9.9.9/8", true],
    ["10.1.2.3:443", "10.1.2.0/30", true],
    ["10.1.2.4:443", "10.1.2.0/30", false],
    ["192.168.0.1:443", "0.0.0.0/0", true],
    ["10.1.2.3:443", "10.0.0.0/33", false],
    ["10.1.2.3:443", "10.0.0.0/x", false],
    ["10.1.2.3:443", "fd00::/8", false],
    ["[fd12::1]:443", "fd00::/8", true],
    ["[fe80::1]:443", "fd00::/8", false],
    ["127.0.0.1:443", "example.com", false],
    ["127.0.0.1:443", "127.0.0.0/8", true],
    ["localhost:443", "localhost", true]
  ])("%s by no_proxy %s: %s", (address, no_proxy, direct) => {
    assert.strictEqual(proxied(address, { no_proxy }), !direct)
    const option = { url: "http://proxy", except: no_proxy.split(",") }
    assert.strictEqual(HttpProxy.route(endpointOf(address), option, {}).proxy === undefined, direct, "as an option")
  })

  it("no_grpc_proxy stands in the place of no_proxy", () => {
    assert.isTrue(proxied("a.org:1", { no_grpc_proxy: "b.org", no_proxy: "a.org" }))
    assert.isFalse(proxied("a.org:1", { no_grpc_proxy: "a.org", no_proxy: "b.org" }))
  })

  it("an address that a name was looked up for goes by both", () => {
    assert.isFalse(proxied("10.1.2.3:443", { no_proxy: ".internal" }, "api.internal:443"))
    assert.isFalse(proxied("10.1.2.3:443", { no_proxy: "10.0.0.0/8" }, "api.internal:443"))
    assert.isTrue(proxied("a.org:443", { no_proxy: ".internal" }, "api.internal:443"), "a name is where it goes")
  })

  it("Unix sockets", () => assert.isFalse(proxied("unix:/run/x.sock", {})))
})

describe("the option", () => {
  const environment = { http_proxy: "http://c:3", no_proxy: "*" }

  it("false is no proxy", () =>
    assert.isUndefined(HttpProxy.route(endpointOf("a:1"), false, { http_proxy: "http://c:3" }).proxy))

  it("a URL is this proxy, whatever the environment excepts", () =>
    assert.strictEqual(HttpProxy.route(endpointOf("a:1"), "http://d:4", environment).proxy?.host, "d"))

  it.each(["d:4", "https://a:secret@d:4", "nonsense", "http://"])("%s is a problem", (url) => {
    const { problem, proxy } = HttpProxy.route(endpointOf("a:1"), url, environment)
    assert.isUndefined(proxy)
    assert.match(problem ?? "", /^option proxy: .*a proxy is written http:\/\/host:port$/)
    assert.notInclude(problem ?? "", "secret")
  })
})
