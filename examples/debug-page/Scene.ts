/** A moment of a program in which everything happens at once that the debug page can show, the same each time. */
import type { Snapshot } from "trunkline/extend"

const at = Date.UTC(2026, 10, 21, 14, 2, 11)

/** A minute of latencies around a value; `null` while nothing was answered. */
const minute = (around: number, spread: number, seed: number, answered: (second: number) => boolean = () => true) => {
  let state = seed
  const next = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
  return Array.from({ length: 60 }, (_, second) =>
    answered(second) ? around + spread * (next() + Math.sin(second / 7 + seed) / 2) : null
  )
}

const mean = (values: ReadonlyArray<number | null>) => {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

const peer = (
  id: string,
  { recentErrors, ...facts }: Partial<Snapshot.Peer> & { readonly recentErrors?: number },
  share: number,
  latencies: ReadonlyArray<number | null>
): Snapshot.Peer => ({
  id,
  address: id,
  weight: 1,
  state: "Ready",
  since: at - 5_400_000,
  pending: 0,
  started: 0,
  succeeded: 0,
  failed: 0,
  answered: 0,
  answeredMillis: 0,
  ...facts,
  recent: {
    calls: Math.round(share * 12_000),
    errors: recentErrors ?? 0,
    share,
    latencyMillis: mean(latencies),
    latencies
  }
})

const greeter: Snapshot.Pool = {
  id: 1,
  target: "dns:///greeter.prod.internal:50051",
  picker: "PowerOfTwo",
  discovery: { updatedAt: at - 12_000 },
  peers: [
    peer(
      "10.4.0.11:50051",
      { pending: 7, started: 182_304, failed: 12, locality: "eu-west-1a" },
      0.41,
      minute(3.1, 2, 7)
    ),
    peer(
      "10.4.0.12:50051",
      {
        pending: 6,
        started: 179_960,
        failed: 31,
        locality: "eu-west-1a",
        lastError: { text: "[UNAVAILABLE] the server is shutting down", at: at - 192_000 }
      },
      0.38,
      minute(3.6, 2.5, 11)
    ),
    peer(
      "10.4.0.13:50051",
      {
        pending: 2,
        started: 24_117,
        failed: 3,
        locality: "eu-west-1b",
        since: at - 44_000,
        standing: { status: "Ready", cause: "slow start", since: at - 44_000, weight: 0.62, until: at + 16_000 }
      },
      0.17,
      minute(4.2, 6, 5, (second) => second > 16)
    ),
    peer(
      "10.4.1.21:50051",
      {
        started: 96_402,
        failed: 2_204,
        recentErrors: 61,
        locality: "eu-west-1b",
        since: at - 1_260_000,
        standing: { status: "Ejected", cause: "5 failures in a row", since: at - 9000, weight: 1, until: at + 21_000 },
        lastError: { text: '[INTERNAL] upstream <billing> answered 500: it\'s "down"', at: at - 9000 }
      },
      0.04,
      minute(11, 22, 3, (second) => second < 51)
    ),
    peer(
      "10.4.1.22:50051",
      {
        state: "Down",
        started: 88_211,
        failed: 41,
        recentErrors: 2,
        locality: "eu-west-1b",
        since: at - 38_000,
        cause: "connect ECONNREFUSED 10.4.1.22:50051",
        lastError: { text: "[UNAVAILABLE] the connection was lost", at: at - 38_000 }
      },
      0,
      minute(4, 2, 9, (second) => second < 21)
    ),
    peer("10.4.1.23:50051", { state: "Connecting", since: at - 1200, locality: "eu-west-1b" }, 0, [])
  ]
}

const ledger: Snapshot.Pool = {
  id: 2,
  target: "consul:///ledger",
  picker: "RoundRobin",
  discovery: { updatedAt: at - 340_000, error: 'discovery of "consul:///ledger": the agent does not answer' },
  peers: [
    peer(
      "ledger-0:7443",
      { pending: 1, started: 4_031, since: at - 86_400_000 * 3, weight: 2 },
      0.67,
      minute(18, 9, 21)
    ),
    peer("ledger-1:7443", { started: 2_012, since: at - 86_400_000 * 3 }, 0.33, minute(24, 14, 33))
  ]
}

const policy = `UNAVAILABLE
  attempts: at most 5
  delays: 0ms to 100ms, 0ms to 200ms, 0ms to 400ms, then 0ms to 800ms
  time: without limit
  pushback: slept as asked, and the delays start anew; stops if asked
Not retried: every other code`

/** The moment. */
export const scene: Snapshot.Snapshot = {
  version: 1,
  at,
  intervalMillis: 1000,
  pools: [greeter, ledger],
  clients: [
    {
      id: 3,
      service: "shop.v1.Greeter",
      budget: { balance: 412, withdrawals: 1_307, exhaustions: 0, shared: false },
      policies: [{ of: "every method", text: policy }]
    },
    {
      id: 4,
      service: "ledger.v2.Ledger",
      budget: { balance: 3, withdrawals: 96, exhaustions: 14, shared: true },
      policies: [
        { of: "other methods", text: "one attempt" },
        { of: "GetBalance, ListEntries", text: "whole call: at most 1s 500ms" }
      ]
    }
  ],
  multiEndpoints: [
    {
      id: 5,
      name: "read",
      current: "ledger.eu.example:443",
      endpoints: [
        { endpoint: "ledger.local.example:443", availability: "Recovering", failing: false },
        { endpoint: "ledger.eu.example:443", availability: "Available", failing: false },
        { endpoint: "ledger.us.example:443", availability: "Unavailable", failing: true }
      ],
      switchAt: at + 4200,
      history: [
        { from: "ledger.local.example:443", to: "ledger.eu.example:443", reason: "fallback", at: at - 61_000 },
        { from: "ledger.eu.example:443", to: "ledger.local.example:443", reason: "recover", at: at - 4_000_000 }
      ]
    }
  ],
  channelPools: [
    {
      id: 6,
      endpoint: "ledger.eu.example:443",
      max: 10,
      ready: 3,
      load: 61,
      keys: 2113,
      silences: 1,
      primeFailures: 0,
      fallbacks: 12,
      failedFallbacks: 0,
      channels: [
        { id: 1, ready: true, draining: false, load: 21, calls: 184_202, keys: 704, penalty: 0 },
        { id: 2, ready: true, draining: false, load: 17, calls: 183_977, keys: 703, penalty: 4 },
        { id: 4, ready: true, draining: false, load: 20, calls: 12_911, keys: 703, penalty: 0 },
        { id: 5, ready: false, draining: false, load: 0, calls: 0, keys: 0, penalty: 0 },
        { id: 3, ready: true, draining: true, load: 3, calls: 96_140, keys: 3, penalty: 0 }
      ]
    }
  ]
}
