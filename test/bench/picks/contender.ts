/**
 * One picker over so many peers, in a process of its own, so that the compiler sees no other.
 *
 * A call is picked for and counted; the one picked for 64 calls before has ended, and is counted off and measured.
 */
import { Clock, Effect, Stream } from "effect"
import { CallOptions, Endpoint, PendingLoad } from "trunkline"
import { Call, Peer, type Picker, HealthVerdict } from "trunkline/extend"
import { performance } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { byKey, policies } from "./contenders.ts"

export interface Measurement {
  /** Nanoseconds per pick and finish, round by round. */
  readonly nanos: ReadonlyArray<number>
  readonly bytes: number
  /** Milliseconds to the first picker, and to the next after one peer has gone or come back. */
  readonly firstMillis: number
  readonly changeMillis: ReadonlyArray<number>
}

const underWay = 64
const rounds = 15

const [name = "", size = "10"] = process.argv.slice(2)

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const peers = Array.from({ length: Number(size) }, (_, i) => {
  const address = Endpoint.Address.Tcp({ host: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 50051 })
  return new Peer.Peer(Endpoint.make(address), 0)
})

const policy = policies[name]!()
const load = policy.load?.make() ?? PendingLoad.pending

const setOf = (ready: ReadonlyArray<Peer.Peer>): Picker.PeerSet => ({
  peers: ready,
  connected: ready,
  ready,
  endpointOf: (peer) => peer.endpoint,
  weightOf: (peer) => peer.endpoint.weight,
  verdictOf: () => HealthVerdict.healthy,
  load
})

/** As many as are under way, because a call has just been made when a peer is picked for it; but of many keys. */
const variety = byKey.has(name) ? 1024 : underWay
const calls = Array.from({ length: variety }, (_, i) => {
  const options = { ...CallOptions.Current.defaultValue(), hashKey: `user/${i * 7919}` }
  return new Call.Call(options, Clock.Clock.defaultValue(), Infinity)
})

/** The whole set, then without one peer, then whole again, and so on. */
const sets = Array.from({ length: 61 }, (_, i) =>
  setOf(i % 2 === 0 ? peers : peers.filter((_, at) => at !== (i * 37) % peers.length))
)

const build = Effect.gen(function* () {
  const millis: Array<number> = []
  let since = 0
  let picker: Picker.Picker | undefined
  yield* policy
    .pickers(
      Stream.map(Stream.rechunk(Stream.fromIterable(sets), 1), (set) => {
        since = performance.now()
        return set
      })
    )
    .pipe(
      Stream.runForEach((built) =>
        Effect.sync(() => {
          millis.push(performance.now() - since)
          picker = built
        })
      )
    )
  return { picker: picker!, millis }
})

const { millis, picker } = Effect.runSync(build)

const running: Array<Peer.Peer | undefined> = Array.from({ length: underWay }, () => undefined)

const pick = (call: Call.Call, now: number): Peer.Peer => {
  const picked = picker.pick(call, now)
  if (picked._tag !== "Peer") throw new Error(picked._tag)
  picked.stats.pending++
  picked.stats.ask(now)
  return picked
}
const end = (peer: Peer.Peer, latency: number, now: number): void => {
  peer.stats.pending--
  peer.stats.unanswered--
  load.observe(peer.stats, "success", latency, now)
}

// A pool picks in one place and ends calls in another. If the compiler meets the two by themselves first, it leaves them that
// way instead of making one function of the whole loop, half of which would not fit.
const rehearsed = performance.now() + 300
for (let i = 0; i % 64 !== 0 || performance.now() < rehearsed; i++) {
  const call = calls[i & (variety - 1)]!
  const first = pick(call, i >> 7)
  const second = pick(call, i >> 7)
  end(second, 10 + (i & 7), i >> 7)
  end(first, 10 + (i & 7), i >> 7)
}

let done = 0

const run = (count: number): void => {
  const last = done + count
  for (let i = done; i < last; i++) {
    // Whole milliseconds: a fraction would be an allocation of this loop's own.
    const now = i >> 7
    const slot = i & (underWay - 1)
    const ended = running[slot]
    if (ended !== undefined) end(ended, 10 + (i & 7), now)
    running[slot] = pick(calls[i & (variety - 1)]!, now)
  }
  done = last
}

const timed = (count: number): number => {
  const start = performance.now()
  run(count)
  return performance.now() - start
}

// Until the optimizing compiler has seen it, and then as many as fit in a round of 30 ms.
let warm = 0
let count = 1000
while (warm < 400) {
  const took = timed(count)
  warm += took
  if (took < 20) count *= 2
}
const perRound = Math.max(100, Math.round((count * 30) / Math.max(1, timed(count))))
const nanos = Array.from({ length: rounds }, () => (timed(perRound) * 1e6) / perRound)

const picks = Math.min(1_000_000, perRound * 30)
collect()
const before = process.memoryUsage().heapUsed
run(picks)
const bytes = (process.memoryUsage().heapUsed - before) / picks

const [firstMillis = 0, ...changeMillis] = millis
console.log(JSON.stringify({ nanos, bytes, firstMillis, changeMillis } satisfies Measurement))
