import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Endpoint from "../../src/discovery/Endpoint.ts"

const { Tcp, Unix } = Endpoint.Address

/** What is wrong with an address, or the endpoint when nothing is. */
const problemOf = (input: string, options?: { readonly port?: number }): unknown =>
  Result.match(Endpoint.parse(input, options), {
    onFailure: (error) => error.problem,
    onSuccess: (endpoint) => endpoint
  })

describe("parse reads", () => {
  const good: ReadonlyArray<readonly [input: string, id: string, address: Endpoint.Address]> = [
    ["greeter:50051", "greeter:50051", Tcp({ host: "greeter", port: 50051 })],
    ["Greeter.Example.COM:1", "greeter.example.com:1", Tcp({ host: "greeter.example.com", port: 1 })],
    ["greeter.:65535", "greeter.:65535", Tcp({ host: "greeter.", port: 65535 })],
    ["_grpc._tcp.x:080", "_grpc._tcp.x:80", Tcp({ host: "_grpc._tcp.x", port: 80 })],
    ["bücher.example:80", "xn--bcher-kva.example:80", Tcp({ host: "xn--bcher-kva.example", port: 80 })],
    ["1.2.3.4:50051", "1.2.3.4:50051", Tcp({ host: "1.2.3.4", port: 50051 })],
    ["[::1]:50051", "[::1]:50051", Tcp({ host: "::1", port: 50051 })],
    ["[0:0:0:0:0:0:0:1]:50051", "[::1]:50051", Tcp({ host: "::1", port: 50051 })],
    ["[FE80::1%eth0]:80", "[fe80::1%eth0]:80", Tcp({ host: "fe80::1%eth0", port: 80 })],
    ["dns:greeter:50051", "greeter:50051", Tcp({ host: "greeter", port: 50051 })],
    ["dns:///greeter:50051", "greeter:50051", Tcp({ host: "greeter", port: 50051 })],
    ["DNS:///greeter:50051", "greeter:50051", Tcp({ host: "greeter", port: 50051 })],
    ["dns:1.2.3.4:80", "1.2.3.4:80", Tcp({ host: "1.2.3.4", port: 80 })],
    ["dns:///[::1]:80", "[::1]:80", Tcp({ host: "::1", port: 80 })],
    ["dns:50051", "dns:50051", Tcp({ host: "dns", port: 50051 })],
    ["ipv4:1.2.3.4:80", "1.2.3.4:80", Tcp({ host: "1.2.3.4", port: 80 })],
    ["ipv6:[::1]:80", "[::1]:80", Tcp({ host: "::1", port: 80 })],
    ["unix:run/greeter.sock", "unix:run/greeter.sock", Unix({ path: "run/greeter.sock" })],
    ["unix:/run/greeter.sock", "unix:/run/greeter.sock", Unix({ path: "/run/greeter.sock" })],
    ["unix:///run/greeter.sock", "unix:/run/greeter.sock", Unix({ path: "/run/greeter.sock" })],
    ["unix:8080", "unix:8080", Unix({ path: "8080" })]
  ]

  const plain = { authority: undefined, weight: 1, priority: 0, locality: undefined }

  it.each(good)("%s", (input, id, address) => {
    const endpoint = Result.getOrThrow(Endpoint.parse(input))
    assert.deepStrictEqual(endpoint, { id, address, ...plain })
    assert.deepStrictEqual(Result.getOrThrow(Endpoint.parse(id)), endpoint, "an id reads as itself")
  })

  it("a port that is given for addresses without one, and only for those", () => {
    const ids = ["greeter", "dns:///greeter", "1.2.3.4", "[::1]", "ipv6:[::1]", "greeter:1"].map(
      (input) => Result.getOrThrow(Endpoint.parse(input, { port: 443 })).id
    )
    assert.deepStrictEqual(ids, ["greeter:443", "greeter:443", "1.2.3.4:443", "[::1]:443", "[::1]:443", "greeter:1"])
  })
})

describe("parse refuses", () => {
  const brackets = "an IPv6 address is written in brackets, [::1]:50051"
  const bad: ReadonlyArray<readonly [input: string, problem: string]> = [
    ["", "empty"],
    [" ", 'bad host name " ": invalid domain name'],
    [":", "no host"],
    [":50051", "no host"],
    ["greeter", "no port"],
    ["greeter:", "no port"],
    ["dns:", "no port"],
    ["[::1]", "no port"],
    ["1.2.3.4", "no port"],
    ["dns:///greeter", "no port"],
    ["ipv4:1.2.3.4", "no port"],
    ["greeter:http", 'port "http" is not a number'],
    ["greeter: 80", 'port " 80" is not a number'],
    ["greeter:+80", 'port "+80" is not a number'],
    ["greeter:8e1", 'port "8e1" is not a number'],
    ["greeter:80/path", 'port "80/path" is not a number'],
    ["greeter:-1", 'port "-1" is not a number'],
    ["greeter:0", "port 0 is not from 1 to 65535"],
    ["greeter:65536", "port 65536 is not from 1 to 65535"],
    ["greeter:99999999999999999999", "port 99999999999999999999 is not from 1 to 65535"],
    ["ftp://x:1", 'unknown scheme "ftp"; known are dns, ipv4, ipv6, unix'],
    ["https://greeter", 'unknown scheme "https"; known are dns, ipv4, ipv6, unix'],
    ["xds:greeter:50051", 'unknown scheme "xds"; known are dns, ipv4, ipv6, unix'],
    ["1:2:3", "more than one colon"],
    ["dns:dns:greeter:1", "more than one colon"],
    ["dns://8.8.8.8/greeter:1", "dns: is followed by host:port or ///host:port; a name server cannot be chosen here"],
    ["dns://greeter:1", "dns: is followed by host:port or ///host:port; a name server cannot be chosen here"],
    ["1.2.3:80", 'bad IPv4 address "1.2.3": expected exactly four decimal octets'],
    ["1.2.3.256:80", 'bad IPv4 address "1.2.3.256": octets must be at most 255'],
    ["ipv4:greeter:80", 'bad IPv4 address "greeter": expected exactly four decimal octets'],
    ["ipv4:[::1]:80", 'bad IPv4 address "[::1]": expected exactly four decimal octets'],
    ["[::1::2]:80", 'bad IPv6 address "::1::2": only one compression marker is allowed'],
    ["[1.2.3.4]:80", 'bad IPv6 address "1.2.3.4": expected eight segments'],
    ["[]:80", 'bad IPv6 address "": expected eight segments'],
    ["[fe80::1%]:80", 'bad IPv6 address "fe80::1%": invalid IPv6 scope identifier'],
    ["ipv6:greeter:80", 'bad IPv6 address "greeter": it is written in brackets, [::1]:50051'],
    ["::1", brackets],
    ["::1:50051", brackets],
    ["2001:db8:1:2:3:4:5:6:50051", brackets],
    ["dns:fe80::1:80", brackets],
    ["[::1", "brackets hold an IPv6 address and a port follows, [::1]:50051"],
    ["[::1]80", "brackets hold an IPv6 address and a port follows, [::1]:50051"],
    ["user@greeter:80", 'bad host name "user@greeter": invalid domain name'],
    ["a..b:80", 'bad host name "a..b": domain name labels must not be empty'],
    [`${"a".repeat(64)}:80`, `bad host name "${"a".repeat(64)}": domain name labels must be at most 63 characters`],
    ["unix:", "no path"],
    ["unix:///", "no path"],
    ["unix:a\0b", "a path holds no NUL"],
    ["unix://run/greeter.sock", "unix:// is followed by an absolute path, unix:///run/greeter.sock"]
  ]

  it.each(bad)("%s", (input, problem) => {
    const error = Result.getOrThrow(Result.flip(Endpoint.parse(input)))
    assert.instanceOf(error, Endpoint.AddressError)
    assert.deepStrictEqual([error.input, error.problem], [input, problem])
    assert.strictEqual(error.message, `address ${JSON.stringify(input)}: ${problem}`)
  })

  it("a given port that cannot be one", () => {
    assert.strictEqual(problemOf("greeter", { port: 65536 }), "port 65536 is not from 1 to 65535")
    assert.strictEqual(problemOf("greeter", { port: 0 }), "port 0 is not from 1 to 65535")
    assert.strictEqual(problemOf("greeter", { port: 1.5 }), 'port "1.5" is not a number')
    assert.strictEqual(problemOf("greeter", { port: NaN }), 'port "NaN" is not a number')
  })
})

describe("make", () => {
  it("takes the canonical form for the id and keeps what is said of it", () => {
    const said = { authority: "greeter", weight: 2.5, priority: 1, locality: "zone-a" }
    const address = Tcp({ host: "::1", port: 1 })
    assert.deepStrictEqual(Endpoint.make(address, said), { id: "[::1]:1", address, ...said })
  })
})
