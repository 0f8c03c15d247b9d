import { assert, describe, it } from "@effect/vitest"
import { ErrorDetails, RpcError } from "trunkline"
import { RetryAfter } from "trunkline/extend"

const error = (...pushback: ReadonlyArray<string>) =>
  RpcError.make("UNAVAILABLE", "busy", {
    trailers: pushback.length === 0 ? new Map() : new Map([["grpc-retry-pushback-ms", pushback]])
  })

describe("RetryAfter", () => {
  it.each([
    ["nothing said", error(), 0],
    ["a pushback", error("1500"), 1500],
    ["a wish to be left alone for good says nothing of how long", error("-1"), 0],
    ["nonsense", error("1e3"), 0],
    ["a RetryInfo", ErrorDetails.attach(error(), ErrorDetails.retryInfo("2 seconds")), 2000],
    ["the longer one of both", ErrorDetails.attach(error("1500"), ErrorDetails.retryInfo("2 seconds")), 2000],
    [
      "the wish to be left alone for good, beside a RetryInfo",
      ErrorDetails.attach(error("-1"), ErrorDetails.retryInfo("2 seconds")),
      2000
    ],
    ["or the other", ErrorDetails.attach(error("2500"), ErrorDetails.retryInfo("2 seconds")), 2500]
  ] as const)("%s", (_name, error, expected) => assert.strictEqual(RetryAfter.millis(error), expected))
})
