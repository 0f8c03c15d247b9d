import { assert, describe, it } from "@effect/vitest"
import { PeerStatus } from "trunkline/extend"

const at = (state: PeerStatus.State, cause?: string): PeerStatus.PeerStatus => ({
  state,
  since: 0,
  cause,
  lastConnect: undefined,
  version: 0
})

const started: PeerStatus.Event = { _tag: "ConnectStarted" }
const connected: PeerStatus.Event = { _tag: "Connected" }
const failed: PeerStatus.Event = { _tag: "ConnectFailed", cause: "refused" }
const lost: PeerStatus.Event = { _tag: "Disconnected", cause: "lost" }
const released: PeerStatus.Event = { _tag: "Released" }
const gaveUp: PeerStatus.Event = { _tag: "GaveUp", cause: "enough" }
const removed: PeerStatus.Event = { _tag: "Removed" }

describe("PeerStatus", () => {
  const table: ReadonlyArray<[PeerStatus.State, PeerStatus.Event, PeerStatus.State]> = [
    ["Idle", started, "Connecting"],
    ["Idle", connected, "Idle"],
    ["Idle", failed, "Idle"],
    ["Idle", lost, "Idle"],
    ["Connecting", started, "Connecting"],
    ["Connecting", connected, "Ready"],
    ["Connecting", failed, "Down"],
    ["Connecting", lost, "Connecting"],
    ["Ready", started, "Ready"],
    ["Ready", connected, "Ready"],
    ["Ready", failed, "Ready"],
    ["Ready", lost, "Idle"],
    ["Down", started, "Connecting"],
    ["Down", connected, "Down"],
    ["Down", failed, "Down"],
    ["Down", lost, "Down"],
    ["Gone", started, "Gone"],
    ["Gone", connected, "Gone"],
    ["Gone", failed, "Gone"],
    ["Gone", lost, "Gone"],
    ["Idle", released, "Idle"],
    ["Connecting", released, "Idle"],
    ["Ready", released, "Idle"],
    ["Down", released, "Idle"],
    ["Gone", released, "Gone"],
    ["Down", gaveUp, "Gone"],
    ["Gone", gaveUp, "Gone"],
    ["Gone", removed, "Gone"]
  ]
  it.each(table)("%s, then %o, is %s", (before, event, after) => {
    assert.strictEqual(PeerStatus.next(at(before), event, 1).state, after)
  })

  it.each(["Idle", "Connecting", "Ready", "Down"] as const)("%s, removed, is gone", (before) => {
    assert.strictEqual(PeerStatus.next(at(before), removed, 1).state, "Gone")
  })

  it("an event that changes nothing keeps the time it began", () => {
    const before = at("Ready")
    assert.strictEqual(PeerStatus.next(before, started, 5), before)
    assert.strictEqual(PeerStatus.next(before, lost, 5).since, 5)
  })

  it("each change counts one up, and what changes nothing does not", () => {
    const events = [started, started, failed, lost, started, connected, lost, removed, connected]
    const seen: Array<number> = []
    events.reduce((status, event) => {
      const next = PeerStatus.next(status, event, 1)
      seen.push(next.version)
      return next
    }, PeerStatus.initial(0))
    assert.deepStrictEqual(seen, [1, 1, 2, 2, 3, 4, 5, 6, 6])
  })

  it("the cause is kept while the peer tries again and cleared when it is ready", () => {
    const down = PeerStatus.next(at("Connecting"), failed, 1)
    const again = PeerStatus.next(down, started, 2)
    assert.deepStrictEqual([down.cause, again.cause], ["refused", "refused"])
    assert.strictEqual(PeerStatus.next(again, connected, 3).cause, undefined)
  })

  it("is ordered from gone to ready", () => {
    const worstFirst = (["Ready", "Idle", "Gone", "Connecting", "Down"] as const)
      .map((state) => at(state))
      .sort(PeerStatus.byState)
    assert.deepStrictEqual(
      worstFirst.map((status) => status.state),
      ["Gone", "Down", "Idle", "Connecting", "Ready"]
    )
  })
})
