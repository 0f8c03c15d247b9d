import { afterAll, afterEach, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { Dns, NetAddress } from "effect/net"
import { createSocket } from "node:dgram"
import dns from "node:dns/promises"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import * as NodeDns from "../../src/discovery/NodeDns.ts"

const node = NodeDns.make()

describe("lookup", () => {
  it.live("finds localhost, in both families or one", () =>
    Effect.gen(function* () {
      const all = yield* Effect.provide(
        Effect.flatMap(Dns.Dns, (dns) => dns.lookup("localhost")),
        NodeDns.layer
      )
      for (const ip of all) assert.include(["127.0.0.1", "::1"], NetAddress.formatIp(ip))
      const families = new Set(all.map(NetAddress.familyOf))
      assert.isNotEmpty(families)
      for (const family of families) {
        const some = yield* node.lookup("localhost", { family })
        assert.deepStrictEqual(new Set(some.map(NetAddress.familyOf)), new Set([family]))
      }
    })
  )

  it.live("does not find a name that cannot exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(node.lookup("name.invalid"))
      assert.instanceOf(error, Dns.DnsError)
      assert.include(["NotFound", "Temporary"], error.reason)
      assert.deepStrictEqual([error.method, error.hostname], ["lookup", "name.invalid"])
      assert.instanceOf(error.cause, Error)
    })
  )

  describe("with a resolver that is told what to say", () => {
    afterEach(() => void vi.restoreAllMocks())

    it.effect("keeps its order and asks for the family", () =>
      Effect.gen(function* () {
        const lookup = vi.spyOn(dns, "lookup").mockResolvedValue([
          { address: "10.0.0.2", family: 4 },
          { address: "::1", family: 6 },
          { address: "10.0.0.1", family: 4 }
        ] as never)
        const all = yield* node.lookup("Greeter")
        assert.deepStrictEqual(all.map(NetAddress.formatIp), ["10.0.0.2", "::1", "10.0.0.1"])
        yield* node.lookup("greeter", { family: "IPv4" })
        yield* node.lookup("greeter", { family: "IPv6" })
        assert.deepStrictEqual(
          lookup.mock.calls as ReadonlyArray<ReadonlyArray<unknown>>,
          [0, 4, 6].map((family) => ["greeter", { all: true, verbatim: true, family }])
        )
      })
    )

    const reasons: ReadonlyArray<readonly [code: string, reason: Dns.DnsErrorReason]> = [
      ["ENOTFOUND", "NotFound"],
      ["ENODATA", "NotFound"],
      ["ETIMEOUT", "Timeout"],
      ["ETIMEDOUT", "Timeout"],
      ["EAI_AGAIN", "Temporary"],
      ["ECONNREFUSED", "Refused"],
      ["EREFUSED", "Refused"],
      ["ESERVFAIL", "ServerFailure"],
      ["EAI_FAIL", "ServerFailure"],
      ["EBADNAME", "BadName"],
      ["EBADRESP", "InvalidResponse"],
      ["ENOTIMP", "Unsupported"],
      ["ENOMEM", "Unknown"]
    ]
    for (const [code, reason] of reasons) {
      it.effect(`${code} means ${reason}`, () =>
        Effect.gen(function* () {
          const cause = Object.assign(new Error(code), { code })
          vi.spyOn(dns, "lookup").mockRejectedValue(cause)
          const error = yield* Effect.flip(node.lookup("greeter"))
          assert.deepStrictEqual([error.reason, error.cause], [reason, cause])
        })
      )
    }

    it.effect("survives answers that make no sense", () =>
      Effect.gen(function* () {
        const lookup = vi.spyOn(dns, "lookup").mockResolvedValue([{ address: "10.0.0.999", family: 4 }] as never)
        assert.strictEqual((yield* Effect.flip(node.lookup("greeter"))).reason, "InvalidResponse")
        lookup.mockRejectedValue(undefined)
        assert.strictEqual((yield* Effect.flip(node.lookup("greeter"))).reason, "Unknown")
        lookup.mockResolvedValue([] as never)
        assert.strictEqual((yield* Effect.flip(node.lookup("greeter"))).reason, "NotFound")
      })
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// A name server on a loopback socket: what Node makes of real packets
// ---------------------------------------------------------------------------------------------------------------------

const u16 = (n: number): Array<number> => [n >> 8, n & 0xff]
const u32 = (n: number): Array<number> => [...u16(n >>> 16), ...u16(n & 0xffff)]
const text = (s: string): Array<number> => [s.length, ...Buffer.from(s)]
const name = (s: string): Array<number> => [...s.split(".").filter(Boolean).flatMap(text), 0]

/** Record data by type number and name. */
const zone: Readonly<Record<string, ReadonlyArray<ReadonlyArray<number>>>> = {
  "1 full.test": [
    [10, 0, 0, 2],
    [10, 0, 0, 1]
  ],
  "28 full.test": [[...u32(0x20010db8), ...u32(0), ...u32(0), ...u32(1)]],
  "5 full.test": [name("Other.test")],
  "2 full.test": [name("ns.test")],
  "12 full.test": [name("ptr.test")],
  "15 full.test": [[...u16(10), ...name("mail.test")]],
  "16 full.test": [[...text("one"), ...text("two")], text("three")],
  "33 full.test": [
    [...u16(10), ...u16(5), ...u16(50051), ...name("backend.test")],
    [...u16(20), ...u16(0), ...u16(0), ...name(".")]
  ],
  "6 full.test": [[...name("ns.test"), ...name("admin.test"), ...[7, 3600, 600, 86_400, 60].flatMap(u32)]],
  "5 bad.test": [name("not a name.test")],
  "12 1.0.0.10.in-addr.arpa": [name("backend.test")]
}
const statuses: Readonly<Record<string, number>> = { "failing.test": 2, "missing.test": 3, "refusing.test": 5 }

const answer = (query: Buffer): Buffer => {
  let end = 12
  const labels: Array<string> = []
  while (query[end] !== 0) {
    labels.push(query.toString("utf8", end + 1, end + 1 + query[end]!))
    end += query[end]! + 1
  }
  end += 5
  const asked = labels.join(".").toLowerCase()
  const type = query.readUInt16BE(end - 4)
  const found = zone[`${type} ${asked}`] ?? []
  const records = found.flatMap((data) => [
    ...u16(0xc00c),
    ...u16(type),
    ...u16(1),
    ...u32(60),
    ...u16(data.length),
    ...data
  ])
  const flags = 0x8180 | (statuses[asked] ?? 0)
  const header = [...query.subarray(0, 2), ...u16(flags), ...u16(1), ...u16(found.length), 0, 0, 0, 0]
  return Buffer.from([...header, ...query.subarray(12, end), ...records])
}

describe("resolve", () => {
  const socket = createSocket("udp4")
  const servers = dns.getServers()
  beforeAll(async () => {
    socket.on("message", (query, from) => socket.send(answer(query), from.port, from.address))
    socket.bind(0, "127.0.0.1")
    await once(socket, "listening")
    dns.setServers([`127.0.0.1:${(socket.address() as AddressInfo).port}`])
  })
  afterAll(() => {
    dns.setServers(servers)
    socket.close()
  })

  const formats: ReadonlyArray<readonly [type: Dns.RecordType, records: ReadonlyArray<string>]> = [
    ["A", ["A 10.0.0.2", "A 10.0.0.1"]],
    ["AAAA", ["AAAA 2001:db8::1"]],
    ["CNAME", ["CNAME other.test."]],
    ["MX", ["MX 10 mail.test."]],
    ["NS", ["NS ns.test."]],
    ["PTR", ["PTR ptr.test."]],
    ["SOA", ["SOA ns.test. admin.test. 7 3600 600 86400 60"]],
    ["SRV", ["SRV 10 5 50051 backend.test.", "SRV 20 0 0 ."]],
    ["TXT", ['TXT "one" "two"', 'TXT "three"']]
  ]
  for (const [type, records] of formats) {
    it.live(`makes ${type} records`, () =>
      Effect.gen(function* () {
        const found: ReadonlyArray<Dns.DnsRecord> = yield* node.resolve("full.test", type)
        assert.deepStrictEqual(new Set(found.map(Dns.formatRecord)), new Set(records))
      })
    )
  }

  it.live("looks an address up in reverse, by its PTR records", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([...(yield* node.reverse("10.0.0.1"))] as Array<string>, ["backend.test."])
    })
  )

  const failures: ReadonlyArray<readonly [name: string, type: Dns.RecordType, reason: Dns.DnsErrorReason]> = [
    ["missing.test", "A", "NotFound"],
    ["empty.test", "AAAA", "NotFound"],
    ["failing.test", "SRV", "ServerFailure"],
    ["refusing.test", "A", "Refused"],
    ["bad.test", "CNAME", "InvalidResponse"],
    ["full.test", "CAA", "Unsupported"],
    ["full.test", "NAPTR", "Unsupported"],
    ["full.test", "TLSA", "Unsupported"],
    ["not a name", "A", "BadName"]
  ]
  for (const [hostname, type, reason] of failures) {
    it.live(`fails with ${reason} for ${type} of ${hostname}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(node.resolve(hostname, type))
        assert.deepStrictEqual(
          [error.reason, error.method, error.hostname, error.recordType],
          [reason, "resolve", hostname, type]
        )
      })
    )
  }
})
