import { assert, describe, it } from "@effect/vitest"
import * as Terminal from "../../src/cli/Terminal.ts"
import { peer, pool, snapshot } from "../support/snapshots.ts"

const plain = (text: string) => text.replace(/[\u00a0\u2009]/g, " ")

describe("a snapshot in the terminal", () => {
  it("is a table whose numbers stand under each other", () => {
    const recent = { calls: 1, errors: 0, share: 0.25, latencyMillis: 4.2, latencies: [1, 2, 4] }
    const drawn = Terminal.draw(
      snapshot({
        pools: [
          pool({
            peers: [
              peer({ id: "a:1", pending: 7, started: 1234, recent }),
              peer({ id: "longer:1", state: "Down", since: 55_000, failed: 3, cause: "refused" })
            ]
          })
        ],
        clients: [
          {
            id: 2,
            service: "s",
            budget: { balance: 9.6, withdrawals: 1, exhaustions: 0, shared: false },
            policies: []
          }
        ],
        multiEndpoints: [{ id: 3, name: "read", current: "b:1", endpoints: [], history: [] }],
        channelPools: [
          {
            id: 4,
            endpoint: "c:1",
            max: 10,
            ready: 3,
            load: 1200,
            keys: 0,
            silences: 0,
            primeFailures: 0,
            fallbacks: 0,
            failedFallbacks: 0,
            channels: []
          }
        ]
      })
    )
    assert.deepStrictEqual(plain(drawn).split("\n"), [
      "backends as of 00:01:00 UTC",
      "",
      "dns:///greeter:50051  1 of 2 ready  PowerOfTwo",
      "BACKEND   STATE  SINCE  IN FLIGHT  CALLS  ERRORS  SHARE  LATENCY                        LAST",
      "a:1       Ready  1 min          7  1 234       0   25 %   4.2 ms                     █",
      "longer:1  Down   5 s            0      0       3    0 %        -                        refused",
      "",
      "multi-endpoint read: b:1",
      "",
      "channels to c:1: 3 ready of at most 10, 1 200 calls under way",
      "",
      "client s: 10 retries left, 1 made, 0 refused"
    ])
  })

  it("says when there is nothing", () => assert.include(Terminal.draw(snapshot({ pools: [] })), "no targets yet"))

  it("obeys nobody: what is not printable stays out of it", () => {
    const hostile = "\u001b[2J\u001b]0;owned\u0007\r\nroot# \u202e\u009b31m"
    const drawn = Terminal.draw(
      snapshot({ pools: [pool({ target: hostile, peers: [peer({ id: hostile, state: "Down", cause: hostile })] })] })
    )
    assert.notMatch(drawn.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u)
    assert.strictEqual(drawn.split("\n").length, 5)
  })

  it.each([
    ["as wide as it is", "ab\ncde", 3, "ab\ncde"],
    ["narrower", "ab\ncdef", 3, "ab\ncd…"],
    ["of characters, not of their halves", "█😀█😀", 3, "█😀…"]
  ])("fits a screen %s", (_what, text, width, fitted) => assert.strictEqual(Terminal.fit(text, width), fitted))

  it.each<[ReadonlyArray<number | null>, number, string]>([
    [[], 60, " ".repeat(20)],
    [[1, 8], 20, `${" ".repeat(18)}▂█`],
    [[4, null, 4], 20, `${" ".repeat(17)}█ █`],
    // Three to a column.
    [Array.from({ length: 60 }, () => 5), 60, "█".repeat(20)]
  ])("%j of %d is a line of bars", (values, slots, bars) => assert.strictEqual(Terminal.sparkline(values, slots), bars))
})
