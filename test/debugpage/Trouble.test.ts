import { assert, describe, it } from "@effect/vitest"
import type { Snapshot } from "trunkline/extend"
import * as Document from "../../src/debugpage/Document.ts"
import * as Trouble from "../../src/debugpage/Trouble.ts"
import { peer, pool, snapshot } from "../support/snapshots.ts"

/** What is said to be wrong, a line for each. */
const wrong = (shown: Snapshot.Snapshot): ReadonlyArray<string> =>
  (Trouble.render(shown)?.text.match(/<li.*?<\/li>/gs) ?? []).map((line) =>
    line
      .replace(/<svg.*?<\/svg>/gs, "")
      .replace(/<[^>]*>/g, " ")
      .replace(/\s+/g, " ")
      .trim()
  )

const withPeer = (facts: Partial<Snapshot.Peer>) =>
  snapshot({ pools: [pool({ peers: [peer({ id: "a:1", ...facts })] })] })
const recent = (calls: number, errors: number) => ({ calls, errors, share: 1, latencyMillis: null, latencies: [] })
const client = (balance: number | "unlimited"): Snapshot.Snapshot["clients"][number] => ({
  id: 7,
  service: "shop.v1.Shop",
  budget: { balance, withdrawals: 0, exhaustions: 0, shared: false },
  policies: []
})

describe("what is wrong", () => {
  it.each<[what: string, says: ReadonlyArray<string>, shown: Snapshot.Snapshot]>([
    ["nothing", [], snapshot()],
    ["a peer that is down", ["Down a:1 refused"], withPeer({ state: "Down", cause: "refused" })],
    ["one that gave up", ["Gone a:1 gave up"], withPeer({ state: "Gone", cause: "gave up" })],
    ["one that tries again", ["Connecting a:1 refused"], withPeer({ state: "Connecting", cause: "refused" })],
    ["not one that connects for the first time", [], withPeer({ state: "Connecting" })],
    ["not one that nobody wants", [], withPeer({ state: "Idle" })],
    [
      "one that gets no calls",
      ["Ejected a:1 5 failures in a row"],
      withPeer({ standing: { status: "Ejected", cause: "5 failures in a row", weight: 1 } })
    ],
    ["one on probation", ["On probation a:1"], withPeer({ standing: { status: "Probe", weight: 1 } })],
    [
      "not one that has just started",
      [],
      withPeer({ standing: { status: "Ready", cause: "slow start", weight: 0.5 } })
    ],
    [
      "one of whose calls many fail",
      ["Failing calls a:1 5 of 100 calls in the last minute"],
      withPeer({ recent: recent(100, 5) })
    ],
    ["not one of whose calls some do", [], withPeer({ recent: recent(100, 4) })],
    [
      "a target whose discovery fails",
      ["Not discovered dns:///greeter:50051 no such host"],
      snapshot({ pools: [pool({ discovery: { updatedAt: 0, error: "no such host" } })] })
    ],
    [
      "one that has no backends",
      ["Unavailable dns:///greeter:50051 no backends"],
      snapshot({ pools: [pool({ peers: [] })] })
    ],
    ["not one that is not discovered yet", [], snapshot({ pools: [pool({ peers: [], discovery: {} })] })],
    [
      "a client that may not retry",
      ["Budget spent shop.v1.Shop no retries left"],
      snapshot({ clients: [client(0.4)] })
    ],
    ["not one that may", [], snapshot({ clients: [client(1), client("unlimited")] })]
  ])("%s", (_what, says, shown) => assert.deepStrictEqual(wrong(shown), says))

  it("is no more than can be read at a glance", () => {
    const peers = Array.from({ length: 11 }, (_, i) => peer({ id: `h${i}:1`, state: "Down" }))
    const said = wrong(snapshot({ pools: [pool({ peers })] }))
    assert.deepStrictEqual([said.length, said.at(-1)], [9, "and 3 more"])
  })

  it("links to where the rest is said, and escapes what it names", () => {
    const shown = snapshot({
      pools: [pool({ id: 4, peers: [peer({ id: "a:1" }), peer({ id: "<b>", state: "Down", cause: "<i>" })] })],
      clients: [client(0)]
    })
    const { text } = Document.main(shown)
    const links = [...text.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id)
    assert.deepStrictEqual(links, ["pool-4-1", "client-7"])
    for (const id of links) assert.strictEqual(text.split(` id="${id}"`).length, 2)
    assert.notInclude(text, "<b>")
    assert.notInclude(text, "<i>")
  })

  it("is in the title, for whoever has many tabs", () => {
    const shown = snapshot({ pools: [pool({ peers: [peer(), peer({ id: "b:1", state: "Down" })] })] })
    const page = Document.page(shown, { nonce: "1", events: "./e", refreshSeconds: 5 })
    assert.include(page, "<title>1/2 Backends</title>")
    assert.include(page, `data-title="1/2 Backends"`)
  })
})
