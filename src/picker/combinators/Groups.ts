/**
 * The peers of a pool in groups, each with a picker of its own.
 *
 * What the policies that choose between groups have in common: a group is only given to its picker policy, and so only
 * connects, once it is wanted; one that has not been wanted for a while lets go of its connections.
 */
import { Effect, FiberMap, Stream } from "effect"
import type { Peer } from "../../peer/Peer.ts"
import * as TimedStream from "../../signals/TimedStream.ts"
import * as StateRef from "../../transport/StateRef.ts"
import * as Picker from "../Picker.ts"

/** A group as the choice between groups sees it. */
export interface Group {
  /** Its place: lower ones come first. */
  readonly key: number
  readonly set: Picker.PeerSet
  /** Its picker, while it is wanted. */
  readonly picker: Picker.Picker
  /** Whether its policy is at work. */
  readonly active: boolean
}

/**
 * Which peers count when groups are compared: all, or those with a weight if any of any group has one. The others are ready
 * only when no such peer is, whatever group it is in.
 */
export const counting = (groups: ReadonlyArray<Group>): ((group: Group) => (peer: Peer) => boolean) => {
  const hasWeight =
    ({ set }: Group) =>
    (peer: Peer): boolean =>
      set.weightOf(peer) > 0
  return groups.some((group) => group.set.peers.some(hasWeight(group))) ? hasWeight : () => () => true
}

/** What a choice comes to. */
export interface Plan {
  /** The groups to be used, and kept connected. */
  readonly wanted: ReadonlyArray<Group>
  readonly picker: Picker.Picker
  /** When to choose again if nothing happens before, in milliseconds of the monotonic clock. */
  readonly next: number
}

export interface Options {
  readonly groupOf: (set: Picker.PeerSet, peer: Peer) => number
  /** Makes a choice, with a memory of its own for each pool. The groups come in order. */
  readonly choice: () => (groups: ReadonlyArray<Group>, now: number) => Plan
  /** How long a group that is not wanted any more stays connected, in milliseconds. */
  readonly retentionMillis: number
}

const restricted = (set: Picker.PeerSet, isIn: (peer: Peer) => boolean): Picker.PeerSet => ({
  ...set,
  peers: set.peers.filter(isIn),
  connected: set.connected.filter(isIn),
  ready: set.ready.filter(isIn)
})

class Member implements Group {
  readonly key: number
  readonly sets: StateRef.Writable<Picker.PeerSet>
  picker = Picker.empty
  active = false
  /** Since when it is not wanted. */
  unwanted = Infinity

  constructor(key: number, set: Picker.PeerSet) {
    this.key = key
    this.sets = StateRef.make(set)
  }

  get set(): Picker.PeerSet {
    return this.sets.current()
  }
}

const split = (set: Picker.PeerSet, groupOf: Options["groupOf"]): ReadonlyMap<number, Picker.PeerSet> => {
  const keys = [...new Set(set.peers.map((peer) => groupOf(set, peer)))].sort((a, b) => a - b)
  return keys.length === 1
    ? new Map([[keys[0]!, set]])
    : new Map(keys.map((key) => [key, restricted(set, (peer) => groupOf(set, peer) === key)]))
}

/** The groups of one pool at work. */
class GroupSet {
  readonly #policy: Picker.PickerPolicy
  readonly #options: Options
  readonly #choose: ReturnType<Options["choice"]>
  /** The policies of active groups, by group. */
  readonly #fibers: FiberMap.FiberMap<number>
  /** Set when it is time to choose again. */
  readonly changed: StateRef.Writable<void> = StateRef.make<void>(undefined)
  #members = new Map<number, Member>()
  /** While some groups have their part of the new set and some do not, no choice is made. */
  #updating = false

  constructor(policy: Picker.PickerPolicy, options: Options, fibers: FiberMap.FiberMap<number>) {
    this.#policy = policy
    this.#options = options
    this.#choose = options.choice()
    this.#fibers = fibers
  }

  /** Splits a new set into groups. Groups that have no peer any more end. */
  update(set: Picker.PeerSet): Effect.Effect<void> {
    return Effect.suspend(() => {
      const before = this.#members
      this.#members = new Map()
      this.#updating = true
      for (const [key, part] of split(set, this.#options.groupOf)) {
        const member = before.get(key) ?? new Member(key, part)
        this.#members.set(key, member)
        member.sets.set(part)
      }
      this.#updating = false
      const ended = [...before.keys()].filter((key) => !this.#members.has(key))
      return Effect.andThen(
        Effect.forEach(ended, (key) => FiberMap.remove(this.#fibers, key), { discard: true }),
        Effect.sync(() => this.changed.set())
      )
    })
  }

  /** Chooses. Starts the groups that are wanted, and ends those that have been unwanted for long enough. */
  readonly choose = Effect.fnUntraced(
    function* (this: GroupSet, now: number) {
      const plan = this.#choose([...this.#members.values()], now)
      const { retentionMillis } = this.#options
      let next = plan.next
      for (const member of this.#members.values()) {
        if (plan.wanted.includes(member)) {
          member.unwanted = Infinity
          if (member.active) continue
          member.active = true
          yield* this.#activate(member)
        } else if (member.active) {
          member.unwanted = Math.min(member.unwanted, now)
          if (now >= member.unwanted + retentionMillis) yield* this.#release(member)
          else next = Math.min(next, member.unwanted + retentionMillis)
        }
      }
      return { value: plan.picker, next }
    }.bind(this)
  )

  #activate(member: Member): Effect.Effect<unknown> {
    const run = Stream.runForEach(this.#policy.pickers(member.sets.changes), (picker) =>
      Effect.sync(() => {
        member.picker = picker
        if (!this.#updating) this.changed.set()
      })
    )
    return FiberMap.run(this.#fibers, member.key, run, { startImmediately: true })
  }

  #release(member: Member): Effect.Effect<void> {
    member.active = false
    member.picker = Picker.empty
    return Effect.andThen(
      FiberMap.remove(this.#fibers, member.key),
      Effect.sync(() => {
        for (const peer of member.set.peers) peer.requestDisconnect()
      })
    )
  }
}

/** Runs a policy once for each group that is wanted, and picks by the choice between them. */
export const make = (self: Picker.PickerPolicy, options: Options): Picker.PickerPolicy => ({
  ...self,
  pickers: (sets) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const groups = new GroupSet(self, options, yield* FiberMap.make<number>())
        const updates = Stream.runForEach(sets, (set) => groups.update(set))
        yield* Effect.forkScoped(updates, { startImmediately: true })
        return TimedStream.make(groups.changed, groups.choose)
      })
    )
})
