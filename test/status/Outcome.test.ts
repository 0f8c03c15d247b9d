/** Who is blamed for every code, by whom it was said and how far the attempt got, cell by cell. */
import { assert, describe, it } from "@effect/vitest"
import { Code, RpcError } from "trunkline"
import { Outcome } from "trunkline/extend"

type Cell = `${Outcome.Blamed} ${Outcome.Outcome}`

const cellOf = (code: Code.Code, facts: RpcError.Facts, text = "x"): Cell => {
  const error = RpcError.make(code, text, facts)
  return `${Outcome.blamed(error)} ${Outcome.of(error)}`
}

/** Processed: what the server said, and what this process said. */
const table: ReadonlyArray<readonly [Code.Code, remote: Cell, local: Cell, neverSent: Cell]> = [
  ["CANCELLED", "nobody ignorable", "nobody ignorable", "nobody ignorable"],
  ["UNKNOWN", "peer failure", "caller ignorable", "caller ignorable"],
  ["INVALID_ARGUMENT", "caller success", "caller ignorable", "caller ignorable"],
  ["DEADLINE_EXCEEDED", "peer failure", "peer failure", "nobody ignorable"],
  ["NOT_FOUND", "caller success", "caller ignorable", "caller ignorable"],
  ["ALREADY_EXISTS", "caller success", "caller ignorable", "caller ignorable"],
  ["PERMISSION_DENIED", "caller success", "caller ignorable", "caller ignorable"],
  ["RESOURCE_EXHAUSTED", "peer rejected", "caller ignorable", "caller ignorable"],
  ["FAILED_PRECONDITION", "caller success", "caller ignorable", "caller ignorable"],
  ["ABORTED", "caller success", "caller ignorable", "caller ignorable"],
  ["OUT_OF_RANGE", "caller success", "caller ignorable", "caller ignorable"],
  ["UNIMPLEMENTED", "caller success", "caller ignorable", "caller ignorable"],
  ["INTERNAL", "peer failure", "caller ignorable", "caller ignorable"],
  ["UNAVAILABLE", "peer failure", "peer failure", "nobody ignorable"],
  ["DATA_LOSS", "peer failure", "caller ignorable", "caller ignorable"],
  ["UNAUTHENTICATED", "caller success", "caller ignorable", "caller ignorable"]
]

describe("the table", () => {
  it("has a row for each code", () =>
    assert.sameMembers(
      table.map(([code]) => code),
      [...Code.all]
    ))

  it.each(table)("%s: of the server %s, of this process %s, never sent %s", (code, remote, local, neverSent) => {
    assert.strictEqual(cellOf(code, { origin: "remote" }), remote)
    assert.strictEqual(cellOf(code, { origin: "local" }), local)
    assert.strictEqual(cellOf(code, { origin: "local", progress: "not_started" }), neverSent)
  })

  it.each(Code.all)("%s: a picker refused it, the server's transport refused it", (code) => {
    assert.strictEqual(cellOf(code, { progress: "dropped" }), "nobody ignorable")
    const refused = code === "CANCELLED" ? "nobody ignorable" : "peer rejected"
    for (const origin of ["remote", "local"] as const)
      assert.strictEqual(cellOf(code, { origin, progress: "refused" }), refused)
  })
})

describe("a server that says in words that the request is at fault", () => {
  it.each([
    "cannot decode the request of /a.B/C",
    "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data",
    "Error deserializing request: index out of range: 3 + 10 > 4",
    "Exception deserializing request!",
    "Invalid protobuf byte sequence"
  ])("INTERNAL: %s", (text) => assert.strictEqual(cellOf("INTERNAL", { origin: "remote" }, text), "caller success"))

  it.each([
    "received message larger than max (4194304)",
    "grpc: received message larger than max (5000000 vs. 4194304)",
    "Received message larger than max (5000000 vs. 4194304)",
    "gRPC message exceeds maximum size 4194304: 5000000",
    "Received message exceeds the maximum configured message size.",
    "message size 5000000 is larger than configured max 4194304"
  ])("RESOURCE_EXHAUSTED: %s", (text) =>
    assert.strictEqual(cellOf("RESOURCE_EXHAUSTED", { origin: "remote" }, text), "caller success")
  )

  it.each([
    ["INTERNAL", "internal error"],
    ["INTERNAL", "cannot encode the response of /a.B/C"],
    ["INTERNAL", "the server ended the call inside a message"],
    ["UNKNOWN", "cannot decode the request of /a.B/C"],
    ["UNAVAILABLE", "message is larger than max"]
  ] as const)("%s: %s is not such a case", (code, text) =>
    assert.strictEqual(cellOf(code, { origin: "remote" }, text), "peer failure")
  )

  it("RESOURCE_EXHAUSTED for any other reason asks for less", () =>
    assert.strictEqual(cellOf("RESOURCE_EXHAUSTED", { origin: "remote" }, "too many requests"), "peer rejected"))
})

describe("isOfTheCall", () => {
  it.each([
    [true, "INTERNAL", { origin: "local", peer: "a:1" }],
    [true, "INTERNAL", { origin: "local", progress: "not_started" }],
    [true, "RESOURCE_EXHAUSTED", { origin: "local", peer: "a:1", progress: "not_started" }],
    // A limit of the client's own is no property of the call.
    [false, "RESOURCE_EXHAUSTED", { origin: "local" }],
    [false, "INTERNAL", { origin: "remote", peer: "a:1" }],
    [false, "UNAVAILABLE", { origin: "local", peer: "a:1" }],
    [false, "INTERNAL", { origin: "local", progress: "dropped" }]
  ] as const)("%s: %s %o", (expected, code, facts) =>
    assert.strictEqual(Outcome.isOfTheCall(RpcError.make(code, "x", facts)), expected)
  )
})
