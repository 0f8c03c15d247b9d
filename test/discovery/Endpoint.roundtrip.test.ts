/** An id is the text of an address: it reads back as that address, and no other address has it. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Endpoint } from "trunkline"

const { Tcp, Unix } = Endpoint.Address

const readBack = (address: Endpoint.Address): Endpoint.Address =>
  Result.getOrThrow(Endpoint.parse(Endpoint.format(address))).address

const port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 }))
const octet = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
const segment = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65535 }))
const label = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9]{0,20}$/))
const path = Schema.String.check(Schema.isPattern(/^[^\0]+$/))

describe("parse(format(address)) is the address", () => {
  it.prop("of names", [Schema.Array(label), label, port], ([labels, last, port]) => {
    const host = [...labels, last].join(".").slice(0, 200)
    const address = Tcp({ host, port })
    if (!host.endsWith(".")) assert.deepStrictEqual(readBack(address), address)
  })

  it.prop("of IPv4", [octet, octet, octet, octet, port], ([a, b, c, d, port]) => {
    const address = Tcp({ host: `${a}.${b}.${c}.${d}`, port })
    assert.deepStrictEqual(readBack(address), address)
  })

  it.prop("of IPv6", [Schema.Array(segment), port], ([segments, port]) => {
    const eight = [...segments, 0, 0, 0, 0, 0, 0, 0, 1].slice(0, 8).map((segment) => segment.toString(16))
    // The canonical form is what parse makes of it.
    const { address } = Result.getOrThrow(Endpoint.parse(`[${eight.join(":")}]:${port}`))
    assert.deepStrictEqual(readBack(address), address)
  })

  it.prop("of paths", [path, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))], ([rest, slashes]) => {
    const path = "/".repeat(slashes) + rest
    if (path === "/") return
    const address = Unix({ path })
    assert.deepStrictEqual(readBack(address), address)
  })

  it.each([
    Tcp({ host: "dns", port: 80 }),
    Tcp({ host: "ipv4", port: 80 }),
    Tcp({ host: "ipv6", port: 80 }),
    Tcp({ host: "unix", port: 80 }),
    Tcp({ host: "localhost", port: 1 }),
    Tcp({ host: "fe80::1%eth0", port: 80 }),
    Unix({ path: "80" }),
    Unix({ path: "//x" }),
    Unix({ path: "///x" }),
    Unix({ path: "//" }),
    Unix({ path: "/x" }),
    Unix({ path: "x\ny" }),
    Unix({ path: "dns:80" }),
    Unix({ path: "http://x" })
  ])("of %o", (address) => {
    assert.deepStrictEqual(readBack(address), address)
  })

  it("a host called unix is no path", () => {
    assert.notStrictEqual(Endpoint.format(Tcp({ host: "unix", port: 80 })), Endpoint.format(Unix({ path: "80" })))
    assert.strictEqual(Endpoint.format(Unix({ path: "//x" })), "unix:////x")
  })
})
