/** What is tried again for nothing, and how often. */
import { assert, describe, it } from "@effect/vitest"
import { RpcError } from "trunkline"
import { maxRaces, TransparentRetries } from "../../src/attempts/TransparentRetry.ts"
import { callWith } from "../support/peers.ts"

const failed = (
  progress: RpcError.Progress | undefined,
  code: "UNAVAILABLE" | "INTERNAL" = "UNAVAILABLE",
  peer?: string
) => RpcError.make(code, "gone", { progress, peer })

/** How many of so many attempts in a row are forgiven that end so. */
const forgiven = (error: RpcError.RpcError, connectionClosing: boolean, attempts = 200): number => {
  const free = new TransparentRetries()
  const call = callWith({})
  call.connectionClosing = connectionClosing
  let count = 0
  while (count < attempts && free.allows(error, call)) count++
  return count
}

describe("TransparentRetries", () => {
  it.each([
    ["what never left, up to a maxRaces", failed("not_started", "UNAVAILABLE", "a:1"), false, maxRaces],
    ["what a server refused, once", failed("refused", "UNAVAILABLE", "a:1"), false, 1],
    [
      "what met the goodbye of its connection, up to a maxRaces",
      failed("refused", "UNAVAILABLE", "a:1"),
      true,
      maxRaces
    ],
    ["nothing that a handler may have seen", failed("processed", "UNAVAILABLE", "a:1"), true, 0],
    ["nothing that says no progress", failed(undefined, "UNAVAILABLE", "a:1"), true, 0],
    ["nothing that had no peer", failed("not_started"), false, 0],
    ["no other code", failed("not_started", "INTERNAL", "a:1"), false, 0]
  ] as const)("forgives %s", (_name, error, connectionClosing, times) => {
    assert.strictEqual(forgiven(error, connectionClosing), times)
  })

  it("is told anew for each attempt whether it met a goodbye", () => {
    const call = callWith({})
    call.connectionClosing = true
    call.repeatAttempt(0)
    assert.isFalse(call.connectionClosing)
  })
})
