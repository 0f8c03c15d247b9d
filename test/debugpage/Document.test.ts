import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Snapshot } from "trunkline/extend"
import * as Document from "../../src/debugpage/Document.ts"
import { peer, pool, snapshot } from "../support/snapshots.ts"

const frame = { nonce: "0123", events: "./backends/events", refreshSeconds: 5 }

/** What the page says, without its tags; what is in a picture counts as said. */
const words = (shown: Snapshot.Snapshot): string =>
  Document.main(shown)
    .text.replace(/<svg[^>]*aria-label="([^"]*)".*?<\/svg>/gs, "$1 ")
    .replace(/<[^>]*>/g, " ")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/[\s\u00a0\u2009]+/g, " ")

const row = (facts: Partial<Snapshot.Peer>): string => words(snapshot({ pools: [pool({ peers: [peer(facts)] })] }))

describe("a peer", () => {
  it.each<[says: string, facts: Partial<Snapshot.Peer>]>([
    ["Ready 1 min", { since: 0 }],
    ["Ready now", { since: 60_000 }],
    ["Ready now", { since: 61_000 }],
    ["Connecting 2 s", { state: "Connecting", since: 58_000 }],
    ["Idle 1 min", { state: "Idle" }],
    ["Down 1 min refused", { state: "Down", cause: "refused" }],
    ["Gone 1 min gave up", { state: "Gone", cause: "gave up" }],
    [
      "Ejected 1 min 5 failures in a row, looked at again in 9 s",
      { standing: { status: "Ejected", cause: "5 failures in a row", weight: 1, until: 69_000 } }
    ],
    ["On probation 1 min tried again", { standing: { status: "Probe", cause: "tried again", weight: 1 } }],
    [
      "Ready 1 min slow start, 25 % of its weight",
      { standing: { status: "Ready", cause: "slow start", weight: 0.25 } }
    ],
    // A lost connection is nearer than what was said of it before.
    [
      "Down 1 min lost slow",
      { state: "Down", cause: "lost", standing: { status: "Ejected", cause: "slow", weight: 1 } }
    ],
    ["a:1 b, weight 3", { id: "a:1", address: "a:1", locality: "b", weight: 3 }],
    ["green 10.0.0.1:50051", { id: "green" }],
    ["Ready 1 min 7 1 234 567 12", { pending: 7, started: 1_234_567, failed: 12 }],
    ["33 %", { recent: { calls: 1, errors: 0, share: 0.333, latencyMillis: null, latencies: [] } }],
    ["0.42 %", { recent: { calls: 1, errors: 0, share: 0.00417, latencyMillis: null, latencies: [] } }],
    ["no calls none", { recent: { calls: 0, errors: 0, share: 0, latencyMillis: null, latencies: [null] } }],
    [
      "latency of the last minute: 1.5 ms to 2 s 12 ms",
      { recent: { calls: 2, errors: 0, share: 1, latencyMillis: 12.3, latencies: [1.5, null, 2000] } }
    ],
    ["[UNAVAILABLE] <down> 30 s ago", { lastError: { text: "[UNAVAILABLE] <down>", at: 30_000 } }]
  ])("says: %s", (says, facts) => assert.include(row(facts), says))

  it("has a shape for each state that no other state has", () => {
    const shapes = (["Ready", "Connecting", "Idle", "Down", "Gone"] as const).map(
      (state) =>
        /<span class="is[^>]*><svg[^>]*>(.*?)<\/svg>/s.exec(
          Document.main(snapshot({ pools: [pool({ peers: [peer({ state })] })] })).text
        )![1]
    )
    assert.strictEqual(new Set(shapes).size, shapes.length)
  })
})

const quiet = {
  id: 4,
  endpoint: "a:1",
  max: 10,
  ready: 0,
  load: 0,
  keys: 0,
  silences: 0,
  primeFailures: 0,
  fallbacks: 0,
  failedFallbacks: 0,
  channels: []
}

/** Connections in every state. */
const channelPool = (endpoint: string): NonNullable<Snapshot.Snapshot["channelPools"]>[number] => ({
  ...quiet,
  endpoint,
  ready: 1,
  load: 1234,
  keys: 1,
  silences: 1,
  primeFailures: 2,
  fallbacks: 3,
  channels: [
    { id: 1, ready: true, draining: false, load: 1200, calls: 5000, keys: 1, penalty: 0 },
    { id: 2, ready: false, draining: false, load: 0, calls: 1, keys: 0, penalty: 5 },
    { id: 3, ready: true, draining: true, load: 34, calls: 40, keys: 0, penalty: 0 }
  ]
})

describe("the page", () => {
  it.each<[says: string, facts: Partial<Snapshot.Snapshot>]>([
    ["No targets yet", { pools: [] }],
    ["1 of 1 backend ready, 1 target", {}],
    ["1 of 2 backends ready, 2 targets", { pools: [pool(), pool({ id: 2, peers: [peer({ state: "Down" })] })] }],
    ["0 of 1 ready", { pools: [pool({ peers: [peer({ standing: { status: "Ejected", weight: 1 } })] })] }],
    ["1 of 1 ready · PowerOfTwo · discovered 1 min ago", {}],
    ["discovered just now", { at: 0 }],
    ["not discovered yet", { pools: [pool({ discovery: {} })] }],
    ["no such host", { pools: [pool({ discovery: { error: "no such host" } })] }],
    ["Discovery has named no backends.", { pools: [pool({ peers: [] })] }],
    ["17 calls sent in panic", { pools: [pool({ panicked: 17 })] }],
    [
      "picker Mine: a bug of it",
      { pools: [pool({ problems: [{ part: "picker Mine", text: "a bug of it", at: 0 }] })] }
    ],
    [
      "Retries left, shared 4 Retried 7 Refused 2",
      {
        clients: [
          { id: 2, service: "s", budget: { balance: 4.4, withdrawals: 7, exhaustions: 2, shared: true }, policies: [] }
        ]
      }
    ],
    [
      "every method attempts: at most 3",
      {
        clients: [
          {
            id: 2,
            service: "s",
            budget: { balance: "unlimited", withdrawals: 0, exhaustions: 0, shared: false },
            policies: [{ of: "every method", text: "attempts: at most 3" }]
          }
        ]
      }
    ],
    [
      "a:1 Recovering b:1 Failing calls current A switch is to come in 3 s . Latest switches 00:00:30 a:1 to b:1 fallback",
      {
        multiEndpoints: [
          {
            id: 3,
            name: "read",
            current: "b:1",
            endpoints: [
              { endpoint: "a:1", availability: "Recovering", failing: false },
              { endpoint: "b:1", availability: "Available", failing: true }
            ],
            switchAt: 63_000,
            history: [{ from: "a:1", to: "b:1", reason: "fallback", at: 30_000 }]
          }
        ]
      }
    ],
    [
      "a:1 1 of 2 connections ready, at most 10 · 1 234 under way · 1 key 1 Ready 1 200 under way · 5 000 calls · 1 key 2 " +
        "Connecting 0 under way · 1 call · counts as 5 more for its failures 3 Draining 34 under way · 40 calls 1 connection " +
        "did not answer any more; 2 connections did not get ready; 3 calls went elsewhere, their connection not being ready .",
      { channelPools: [channelPool("a:1")] }
    ],
    [
      "at most 10 · 0 under way · 0 keys Clients",
      {
        channelPools: [{ ...quiet, channels: [] }],
        clients: [
          {
            id: 2,
            service: "s",
            budget: { balance: 1, withdrawals: 0, exhaustions: 0, shared: false },
            policies: []
          }
        ]
      }
    ]
  ])("says: %s", (says, facts) => assert.include(words(snapshot(facts)).replaceAll(/(3 s|ready)\./g, "$1 ."), says))

  it("announces readiness and not the numbers", () => {
    const status = (facts: Partial<Snapshot.Peer>) =>
      /role="status"[^>]*>([^<]*)</.exec(Document.main(snapshot({ pools: [pool({ peers: [peer(facts)] })] })).text)![1]
    assert.strictEqual(status({ started: 5 }), status({ started: 9000 }))
    assert.notStrictEqual(status({}), status({ state: "Down" }))
  })

  it("marks its own style and script, refreshes without scripts, and has no other code", () => {
    const page = Document.page(snapshot(), frame)
    assert.strictEqual(page.match(/<(style|script)\b/g)?.length, 2)
    assert.strictEqual(page.match(/<(style|script) nonce="0123">/g)?.length, 2)
    assert.include(page, `<noscript><meta http-equiv="refresh" content="5" /></noscript>`)
    assert.include(page, `data-events="./backends/events"`)
    assert.notMatch(page, /\s(style|on\w+)="/)
    assert.notMatch(page, /https?:|\bsrc=|\bhref="(?!#)/)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Hostile text
// ---------------------------------------------------------------------------------------------------------------------

/** A snapshot with this text wherever a snapshot has text. */
const saying = (text: string): Snapshot.Snapshot =>
  snapshot({
    pools: [
      pool({
        target: text,
        picker: text,
        discovery: { updatedAt: 0, error: text },
        peers: [
          peer({
            id: text,
            address: `${text}.`,
            locality: text,
            state: "Down",
            cause: text,
            standing: { status: "Ejected", cause: text, weight: 0.5 },
            lastError: { text, at: 0 }
          })
        ]
      })
    ],
    clients: [
      {
        id: 2,
        service: text,
        budget: { balance: 1, withdrawals: 0, exhaustions: 0, shared: false },
        policies: [{ of: text, text }]
      }
    ],
    multiEndpoints: [
      {
        id: 3,
        name: text,
        current: text,
        endpoints: [{ endpoint: text, availability: "Available", failing: false }],
        history: [{ from: text, to: text, reason: text, at: 0 }]
      }
    ],
    channelPools: [channelPool(text)]
  })

/** The tags of a page with the names of their attributes, and whether anything else looks like a tag. */
const skeleton = (page: string): ReadonlyArray<string> => {
  const tags: Array<string> = []
  const rest = page.replace(
    /<(\/?[a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)\s*(\/?)>/gi,
    (_, name: string, attributes: string, closed: string) => {
      const names = [...attributes.matchAll(/([a-z-]+)(?:="[^"]*")?/gi)].map((match) => match[1])
      tags.push([name, ...names, closed].join(" "))
      return ""
    }
  )
  return /[<>]/.test(rest) ? [...tags, `a stray tag: ${rest}`] : tags
}

const innocent = skeleton(Document.main(saying("a")).text)

const attacks = [
  "<script>alert(1)</script>",
  `"><img src=x onerror=alert(1)>`,
  `' onfocus='alert(1)' autofocus='`,
  "</title></style></script><svg/onload=alert(1)>",
  "<!--",
  "-->",
  "]]>",
  "&lt;script&gt;",
  "&#60;b&#62;",
  "\u0000<b\u0000>",
  "`${7*7}`",
  "\ud800<",
  "</bdi></td></tr></table>",
  "a\nevent: page\ndata: <b>",
  "\u202e>tpircs<"
]

describe("hostile text", () => {
  it("has a skeleton to compare with", () => {
    assert.isAbove(innocent.length, 100)
    assert.deepStrictEqual(skeleton(`<p id="a">x</p><br />`), ["p id ", "/p ", "br /"])
    assert.include(skeleton(`<p onclick='x'>`)[0]!, "a stray tag")
  })

  it.each(attacks)("stays text: %j", (text) =>
    assert.deepStrictEqual(skeleton(Document.main(saying(text)).text), innocent)
  )

  it.prop(
    "brings no tag and no attribute, whatever it is",
    [
      Schema.Array(
        Schema.Union([Schema.String, Schema.Literals([...attacks, "<", ">", '"', "'", "&", "=", "/", " ", "`"])])
      )
    ],
    ([parts]) => assert.deepStrictEqual(skeleton(Document.main(saying(parts.join(""))).text), innocent)
  )

  it("cannot turn or hide the text around it", () => {
    const page = Document.main(saying("\u202eevil\u2066\u200b\u0007\ufeff\u2028\u061c")).text
    assert.notMatch(page, /[\p{Cf}\p{Zl}]/u)
    assert.notInclude(page, "\u0007")
    assert.include(row({ id: "مرحبا 👩\u200d🚀" }), "مرحبا 👩\u200d🚀")
  })

  it("is cut where it would bury the page", () => {
    assert.isBelow(row({ cause: "x".repeat(100_000), state: "Down" }).length, 1000)
    assert.include(row({ cause: "🍊".repeat(300), state: "Down" }), `${"🍊".repeat(239)}…`)
  })
})
