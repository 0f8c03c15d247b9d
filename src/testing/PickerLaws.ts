/**
 * What every picker keeps, ours and yours.
 *
 * A law is checked in worlds of peers that come, go, fail and take calls at random, and what breaks it is made as short as
 * it gets before it is shown. Some laws hold for every picker. Others are claims a picker may make of itself: that it is
 * fair, that it takes turns, that keys stay where they are.
 *
 * @example
 * import { Effect } from "effect"
 * import { Picker } from "trunkline/extend"
 * import { PickerLaws } from "trunkline/testing"
 *
 * const mine = Picker.overReady((ready) => ({ pick: () => ready[0]! }))
 *
 * // It keeps the laws for all, and is not fair.
 * const violation = await Effect.runPromise(Effect.flip(PickerLaws.check(mine, { fairWithin: 1.2, runs: 10 })))
 * violation.law // => "fair"
 */
import { Arbitrary, Data, Effect, Exit, Random, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Peer } from "../peer/Peer.ts"
import type { PickerPolicy } from "../picker/Picker.ts"
import * as PickerWorld from "./PickerWorld.ts"

/**
 * The laws.
 *
 * - `only ready`: a peer that is picked is ready; where the picker panics and says so, it is at least connected.
 * - `standby`: a peer of weight 0 is only picked when nobody else is ready, or, where the picker panics, connected.
 * - `queues`: with nobody ready the call waits, with somebody ready it does not. A `partial` picker may let it wait.
 * - `avoids tried`: a call goes to a peer it has not failed on while there is one; of a `partial` picker only if it says so.
 * - `conserves`: the calls counted on peers are those under way, at any time; picking and measuring count nothing.
 * - `fair`: equal peers get equal shares, within a factor.
 * - `follows weights`: peers that do equally well get shares by their weights, within a factor, idle or busy.
 * - `spares the busiest`: a peer that has far more calls under way than all others gets none, whatever its weight.
 * - `takes turns`: between two calls of a peer, everybody else who stays has one, whoever else comes or goes.
 * - `keeps keys`: a key moves only from a peer that leaves or to one that comes, but for a fraction.
 *
 * @category models
 * @since 0.1.0
 */
export type Law =
  | "only ready"
  | "standby"
  | "queues"
  | "avoids tried"
  | "conserves"
  | "fair"
  | "follows weights"
  | "spares the busiest"
  | "takes turns"
  | "keeps keys"

/**
 * A law that does not hold: what was seen, the steps that lead there, and the seed of the check that found them.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawViolation extends Data.TaggedError("LawViolation")<{
  readonly law: Law
  readonly problem: string
  readonly steps: ReadonlyArray<string>
  readonly seed: string | number
}> {
  override get message(): string {
    return `${this.law}: ${this.problem}, after ${this.steps.join(", ") || "nothing"} (seed ${this.seed})`
  }
}

/**
 * What a picker claims of itself beside the laws for all, and how much to check. The defaults: no claim, 30 worlds for each
 * kind of law, one seed, so that a check says the same each time. In these worlds there are up to 8 peers `peer-0:1` to
 * `peer-7:1`; the even ones have priority 0 and the locality `even`, the others priority 1 and the locality `odd`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** No equal peer gets more than this times its share, or less than its share over this. */
  readonly fairWithin?: number | undefined
  /** Among equally good peers none gets more than this times its share by weight, or less than its share over this. */
  readonly weightsWithin?: number | undefined
  /** It picks by the calls under way, and never the peer that has most by far. */
  readonly sparesBusiest?: boolean | undefined
  readonly takesTurns?: boolean | undefined
  /** It uses some of the peers only, or some before others, and may let a call wait for them while others are ready. */
  readonly partial?: boolean | undefined
  /** Its retries go to any ready peer they have not failed on. Default true, and false for a partial one. */
  readonly avoidsTried?: boolean | undefined
  /** The fraction of keys that may move without need when one peer comes or goes; 0 for none. */
  readonly keepsKeys?: number | undefined
  readonly runs?: number | undefined
  readonly seed?: string | number | undefined
}

type Steps = ReadonlyArray<PickerWorld.Step>

interface Broken {
  readonly law: Law
  readonly problem: string
  readonly steps: Steps
}

/** How many peers there are at first, all of them up, and what happens then. */
const Story = Schema.Struct({
  peers: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
  steps: Schema.Array(PickerWorld.Step)
})

type Story = typeof Story.Type

type Property = (policy: PickerPolicy, story: Story) => Effect.Effect<boolean, Broken, Scope.Scope>

/** Looks at a world after each step. */
type Watch = (world: PickerWorld.World) => () => string | undefined

const nameOf = (peer: Peer): string => peer.id.replace(/:1$/, "")

const say = (n: number): Readonly<Record<PickerWorld.Step["what"], string>> => ({
  add: `add peer-${n}`,
  remove: `remove peer-${n}`,
  up: `peer-${n} comes up`,
  down: `peer-${n} goes down`,
  lost: `peer-${n} is lost`,
  eject: `peer-${n} is ejected`,
  readmit: `peer-${n} is let back`,
  unweigh: `peer-${n} has weight 0`,
  weigh: `peer-${n} has weight 1`,
  again: "the same set again",
  start: `start a call with key-${n}`,
  finish: `finish call ${n}`,
  fail: `fail call ${n}`,
  interrupt: `interrupt call ${n}`,
  wait: `wait ${n * 100} ms`
})

/** Some calls a policy may tell apart. */
const someKeys = [undefined, "key-1", "key-2", "key-3"]

const onlyReady: Watch = (world) => () => {
  for (const key of someKeys) {
    const call = world.call({ key })
    const picked = world.pick(call)
    if (picked._tag !== "Peer" || world.ready.includes(picked)) continue
    if (!call.panicked || !world.connected.includes(picked)) return `picked ${nameOf(picked)}, which is not ready`
  }
  return undefined
}

const standby: Watch = (world) => () => {
  const hasWeight = (peer: Peer) => world.weightOf(peer) > 0
  for (const key of someKeys) {
    const call = world.call({ key })
    const picked = world.pick(call)
    if (picked._tag !== "Peer" || hasWeight(picked)) continue
    if ((call.panicked ? world.connected : world.ready).some(hasWeight)) {
      return `picked ${nameOf(picked)}, which has weight 0, and others are ready`
    }
  }
  return undefined
}

const queues =
  (partial: boolean): Watch =>
  (world) =>
  () => {
    for (const key of someKeys) {
      const call = world.call({ key })
      const { _tag } = world.pick(call)
      const some = call.panicked ? world.connected : world.ready
      if (some.length === 0 && _tag !== "Queue" && _tag !== "Down") return `with nobody ready the answer is ${_tag}`
      if (some.length > 0 && (_tag === "Queue" || _tag === "Down") && !partial)
        return "with somebody ready the call is queued"
    }
    return undefined
  }

const avoidsTried: Watch = (world) => () => {
  const ids = world.ready.map((peer) => peer.id)
  for (let i = 0; i < ids.length - 1; i++) {
    for (const key of someKeys) {
      for (const tried of [ids.slice(0, i + 1), ids.slice(i + 1)]) {
        const picked = world.pick(world.call({ key, tried }))
        if (picked._tag === "Peer" && tried.includes(picked.id)) {
          return `a call that failed on ${tried.length} of ${ids.length} peers goes to ${nameOf(picked)} again`
        }
      }
    }
  }
  return undefined
}

const conserves: Watch = (world) => () => {
  for (const key of someKeys) world.pick(world.call({ key }))
  let sum = 0
  for (const peer of world.everybody) {
    if (peer.stats.pending < 0) return `${nameOf(peer)} counts ${peer.stats.pending} calls`
    sum += peer.stats.pending
  }
  return sum === world.leases.length ? undefined : `${sum} calls are counted, ${world.leases.length} are under way`
}

const takesTurns: Watch = (world) => {
  const log: Array<Peer> = []
  const since = new Map<Peer, number>()
  return () => {
    for (const peer of since.keys()) if (!world.ready.includes(peer)) since.delete(peer)
    for (const peer of world.ready) if (!since.has(peer)) since.set(peer, log.length)
    const picked = world.pick()
    if (picked._tag !== "Peer") return undefined
    const last = log.lastIndexOf(picked)
    const from = since.get(picked) ?? log.length
    log.push(picked)
    if (last < from) return undefined
    const between = log.slice(last + 1, -1)
    for (const [peer, start] of since) {
      const turns = between.filter((other) => other === peer).length
      if (peer !== picked && start <= last && turns !== 1) {
        return `${nameOf(peer)} has ${turns} calls between two of ${nameOf(picked)}`
      }
    }
    return undefined
  }
}

const changing: ReadonlySet<PickerWorld.Step["what"]> = new Set([
  "add",
  "remove",
  "up",
  "down",
  "lost",
  "eject",
  "readmit",
  "unweigh",
  "weigh",
  "again"
])

const changesPeers = ({ what }: PickerWorld.Step): boolean => changing.has(what)

const opening = (peers: number): Steps =>
  Array.from({ length: peers }, (_, n) => [{ what: "add", n } as const, { what: "up", n } as const]).flat()

const watched = (
  watches: Partial<Readonly<Record<Law, Watch>>>,
  matters: (step: PickerWorld.Step) => boolean = () => true
): Property =>
  Effect.fnUntraced(function* (policy, story) {
    const world = yield* PickerWorld.make(policy)
    const looks = Object.entries(watches).map(([law, watch]) => ({ law: law as Law, look: watch(world) }))
    const taken: Array<PickerWorld.Step> = []
    for (const step of [undefined, ...opening(story.peers), ...story.steps.filter(matters)]) {
      if (step !== undefined) {
        yield* world.take(step)
        taken.push(step)
      }
      for (const { law, look } of looks) {
        const problem = look()
        if (problem !== undefined) return yield* Effect.fail({ law, problem, steps: taken })
      }
    }
    return true
  })

/** A world in which all peers of the story are up. */
const allUp = Effect.fnUntraced(function* (policy: PickerPolicy, peers: number) {
  const world = yield* PickerWorld.make(policy)
  for (const step of opening(peers)) yield* world.take(step)
  return world
})

const fairPicks = 4000

const fair = (within: number): Property =>
  Effect.fnUntraced(function* (policy, { peers }) {
    const world = yield* allUp(policy, peers)
    const { ready } = world
    const counts = new Map<Peer, number>()
    for (let i = 0; i < fairPicks; i++) {
      const picked = world.pick()
      if (picked._tag === "Peer") counts.set(picked, (counts.get(picked) ?? 0) + 1)
    }
    for (const peer of ready) {
      const ratio = ((counts.get(peer) ?? 0) * ready.length) / fairPicks
      if (ratio > within || ratio < 1 / within) {
        const problem = `${nameOf(peer)} has ${ratio.toFixed(2)} of its share among ${ready.length}`
        return yield* Effect.fail({ law: "fair" as const, problem, steps: opening(peers) })
      }
    }
    return true
  })

/** A world in which all peers are up, and of unequal weights from 1 to 5. */
const weighed = Effect.fnUntraced(function* (policy: PickerPolicy, { peers, steps }: Story) {
  const world = yield* allUp(policy, peers)
  world.ready.forEach((peer, i) => world.weigh(peer, 1 + ((steps[i]?.n ?? i) % 5)))
  yield* world.publish
  return world
})

const sayWeights = (world: PickerWorld.World): string =>
  world.ready.map((peer) => `${nameOf(peer)} ${world.weightOf(peer)}`).join(", ")

const followsWeights = (within: number): Property =>
  Effect.fnUntraced(function* (policy, story) {
    const world = yield* weighed(policy, story)
    const { ready } = world
    const total = ready.reduce((sum, peer) => sum + world.weightOf(peer), 0)
    for (const busy of [false, true]) {
      const counts = new Map<Peer, number>()
      for (let i = 0; i < fairPicks; i++) {
        const picked = world.pick()
        if (picked._tag !== "Peer") continue
        counts.set(picked, (counts.get(picked) ?? 0) + 1)
        if (!busy) continue
        world.hold(picked)
        // All calls take equally long.
        if (world.leases.length > 3 * ready.length) world.leases.shift()!.end(Exit.void)
      }
      for (const peer of ready) {
        const ratio = ((counts.get(peer) ?? 0) / fairPicks) * (total / world.weightOf(peer))
        if (ratio > within || ratio < 1 / within) {
          const problem = `${nameOf(peer)} has ${ratio.toFixed(2)} of its share of ${busy ? "busy" : "idle"} peers by weights (${sayWeights(world)})`
          return yield* Effect.fail({ law: "follows weights" as const, problem, steps: opening(story.peers) })
        }
      }
    }
    return true
  })

/** Far more calls than any other peer has, by any of the weights. */
const farMore = 200

const sparesBusiest: Property = Effect.fnUntraced(function* (policy, story) {
  const world = yield* weighed(policy, story)
  const { ready } = world
  for (const busiest of ready.length < 2 ? [] : ready) {
    const leases = Array.from({ length: farMore }, () => world.hold(busiest))
    for (let i = 0; i < farMore; i++) {
      if (world.pick() !== busiest) continue
      const problem = `${nameOf(busiest)} is picked with ${farMore} calls under way beside idle peers (${sayWeights(world)})`
      return yield* Effect.fail({ law: "spares the busiest" as const, problem, steps: opening(story.peers) })
    }
    for (const lease of leases) lease.end(Exit.interrupt())
  }
  return true
})

const keys = Array.from({ length: 500 }, (_, i) => `key-${i}`)

const keepsKeys = (needless: number): Property =>
  Effect.fnUntraced(function* (policy, { peers, steps }) {
    const world = yield* allUp(policy, peers)
    const owners = () => keys.map((key) => world.pick(world.call({ key })))
    const taken = [...opening(peers)]
    for (const step of steps.filter(changesPeers)) {
      const before = { ready: world.ready, owners: owners() }
      yield* world.take(step)
      taken.push(step)
      const after = { ready: world.ready, owners: owners() }
      const stays = (picked: unknown) => before.ready.includes(picked as Peer) && after.ready.includes(picked as Peer)
      const moved = keys.filter(
        (_, i) => before.owners[i] !== after.owners[i] && stays(before.owners[i]) && stays(after.owners[i])
      )
      if (moved.length > needless * keys.length) {
        const problem = `${moved.length} of ${keys.length} keys moved between peers that stayed, such as ${moved[0]}`
        return yield* Effect.fail({ law: "keeps keys" as const, problem, steps: taken })
      }
    }
    return true
  })

/**
 * Checks a policy against the laws for every picker and those it claims. Fails with the first that does not hold.
 *
 * @category laws
 * @since 0.1.0
 */
export const check = Effect.fnUntraced(function* (
  policy: PickerPolicy,
  options?: Options
): Effect.fn.Return<void, LawViolation> {
  const seed = options?.seed ?? "PickerLaws"
  const partial = options?.partial === true
  const story = Arbitrary.schema(Story)
  const laws = [
    watched({
      standby,
      "only ready": onlyReady,
      queues: queues(partial),
      ...((options?.avoidsTried ?? !partial) ? { "avoids tried": avoidsTried } : undefined),
      conserves
    }),
    ...(options?.fairWithin === undefined ? [] : [fair(options.fairWithin)]),
    ...(options?.weightsWithin === undefined ? [] : [followsWeights(options.weightsWithin)]),
    ...(options?.sparesBusiest === true ? [sparesBusiest] : []),
    ...(options?.takesTurns === true ? [watched({ "takes turns": takesTurns }, changesPeers)] : []),
    ...(options?.keepsKeys === undefined ? [] : [keepsKeys(options.keepsKeys)])
  ]
  for (const law of laws) {
    const result = yield* Arbitrary.checkEffect(
      story,
      (story) => law(policy, story).pipe(Effect.scoped, Random.withSeed(seed), Effect.provide(TestClock.layer())),
      { runs: options?.runs ?? 30, seed, size: 30 }
    )
    if (result._tag !== "Falsified" || result.failure._tag !== "PropertyError") continue
    const { law: broken, problem, steps } = result.failure.error
    return yield* new LawViolation({ law: broken, problem, steps: steps.map(({ n, what }) => say(n)[what]), seed })
  }
})
