import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import { Backoff, Code, ErrorDetails, Pushback, Retry, RpcError } from "trunkline"
import { Jitter } from "trunkline/extend"
import { timeline } from "../support/timeline.ts"

const unavailable = RpcError.make("UNAVAILABLE", "busy", { origin: "remote" })
const trailer = (...values: ReadonlyArray<string | Uint8Array>) =>
  RpcError.annotate(unavailable, { trailers: new Map([["grpc-retry-pushback-ms", values]]) })
const info = (delay: Duration.Input) => ErrorDetails.attach(unavailable, ErrorDetails.retryInfo(delay))
const both = (millis: string, delay: Duration.Input) =>
  ErrorDetails.attach(trailer(millis), ErrorDetails.retryInfo(delay))

describe("Pushback.of", () => {
  it.each<[string, RpcError.RpcError, Pushback.Pushback["_tag"] | number]>([
    ["nothing", unavailable, "Absent"],
    ["zero", trailer("0"), 0],
    ["milliseconds", trailer("1500"), 1500],
    ["leading zeros", trailer("007"), 7],
    ["the largest number of the wire", trailer("2147483647"), 2_147_483_647],
    ["one more than that", trailer("2147483648"), "Stop"],
    ["negative", trailer("-1"), "Stop"],
    ["empty", trailer(""), "Stop"],
    ["a word", trailer("abc"), "Stop"],
    ["an exponent", trailer("1e3"), "Stop"],
    ["a fraction", trailer("1.5"), "Stop"],
    ["a sign", trailer("+5"), "Stop"],
    ["space around it", trailer(" 5"), "Stop"],
    ["hexadecimal", trailer("0x10"), "Stop"],
    ["twice", trailer("5", "5"), "Stop"],
    ["no value at all", trailer(), "Stop"],
    ["bytes", trailer(new Uint8Array([53])), "Stop"],
    ["RetryInfo", info("2 seconds"), 2000],
    ["RetryInfo of zero", info(0), 0],
    ["the longer of both", both("1500", "2 seconds"), 2000],
    ["the longer of both, the other way", both("2500", "2 seconds"), 2500],
    ["a stop wins over RetryInfo", both("-1", "2 seconds"), "Stop"]
  ])("%s", (_name, error, expected) => {
    const said = Pushback.of(error)
    assert.deepStrictEqual(said._tag === "Delay" ? Duration.toMillis(said.delay) : said._tag, expected)
  })
})

/** 100 ms, 200 ms, 400 ms … up to 30 seconds. */
const backoff = Backoff.exponential({ initial: 100, jitter: Jitter.none })
const policy = Retry.onCodes(["UNAVAILABLE"], backoff)

describe("a policy that is pushed back", () => {
  it.effect.each<[string, Retry.RetryPolicy, ReadonlyArray<RpcError.RpcError>, ReadonlyArray<number>]>([
    [
      "1 s, 2 s, absent: then its own first delay",
      policy,
      [info("1 second"), info("2 seconds"), unavailable, unavailable],
      [1000, 2000, 100, 200]
    ],
    ["the same with the trailer", policy, [trailer("1000"), trailer("2000"), unavailable], [1000, 2000, 100]],
    [
      "starts its delays anew",
      policy,
      [unavailable, unavailable, trailer("5"), unavailable, unavailable],
      [100, 200, 5, 100, 200]
    ],
    ["not at all when the server says nothing", policy, [unavailable, unavailable, unavailable], [100, 200, 400]],
    ["zero is at once", policy, [trailer("0"), unavailable], [0, 100]],
    ["a negative one stops", policy, [unavailable, trailer("-1"), unavailable], [100]],
    ["an unclear one stops", policy, [trailer("1e3")], []],
    ["it is capped by the policy's max", policy, [info("10 minutes"), unavailable], [30_000, 100]],
    [
      "the gRPC way is exact",
      Retry.onCodes(["UNAVAILABLE"], backoff, { pushback: Pushback.exact }),
      [info("10 minutes")],
      [600_000]
    ],
    [
      "the cap can be told",
      Retry.onCodes(["UNAVAILABLE"], backoff, { pushback: Pushback.atMost("2 seconds") }),
      [info("10 minutes"), trailer("-1")],
      [2000]
    ],
    [
      "it can be turned off",
      Retry.onCodes(["UNAVAILABLE"], backoff, { pushback: Pushback.ignored }),
      [info("10 minutes"), trailer("-1"), unavailable],
      [100, 200, 400]
    ],
    [
      "a schedule that is no backoff has no max",
      Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(10)),
      [info("10 minutes"), unavailable],
      [600_000, 10]
    ],
    ["on a code that is not retried it does not retry", Retry.onCodes(["ABORTED"], backoff), [trailer("5")], []],
    [
      "attempts count though they were pushed back",
      policy.pipe(Retry.maxAttempts(3)),
      [trailer("5"), trailer("5"), trailer("5"), unavailable],
      [5, 5]
    ],
    [
      "the end of a backoff counts too",
      Retry.onCodes(["UNAVAILABLE"], Schedule.upTo(backoff, { times: 3 })),
      [trailer("5"), unavailable, trailer("5"), trailer("5")],
      [5, 100, 5]
    ],
    [
      "no sleep that does not fit",
      policy.pipe(Retry.totalTimeout("5 seconds")),
      [trailer("2000"), trailer("2000"), trailer("2000")],
      [2000, 2000]
    ]
  ])("%s", ([_name, policy, errors, sleeps]) =>
    Effect.gen(function* () {
      const actual = yield* timeline(policy, errors)
      assert.deepStrictEqual(actual.sleeps, sleeps)
      assert.strictEqual(actual.succeeded, sleeps.length === errors.length)
    })
  )

  it.effect.each(Code.all)("%s: a delay on a code that is not listed does not retry", (code) =>
    Effect.gen(function* () {
      const others = Code.all.filter((other) => other !== code)
      const error = RpcError.make(code, "x", { trailers: trailer("5").trailers })
      assert.strictEqual((yield* timeline(Retry.onCodes(others, backoff), [error])).attempts, 1)
    })
  )
})
