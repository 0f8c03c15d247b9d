/**
 * Groups of peers that take over from each other, by the priority of their endpoints.
 *
 * `failover` uses one group at a time: the first that can be used. A group that is still connecting is waited for, but not
 * for long; one that has failed is not waited for at all. Groups further down stay unconnected until they are needed, and
 * are kept for a while when they no longer are, because who failed once may do so again.
 *
 * `spill` uses groups together when the first has lost so many peers that the rest could not carry it all: each group's
 * health, the share of its peers that is ready, is overrated a little, and what is missing to 100 % goes to the next.
 *
 * @see https://github.com/grpc/proposal/blob/master/A56-priority-lb-policy.md
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
 */
import { Duration, Function } from "effect"
import type { Peer } from "../../peer/Peer.ts"
import * as PeerStatus from "../../peer/PeerStatus.ts"
import * as Groups from "./Groups.ts"
import * as Picker from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"
import * as Spillover from "./Spillover.ts"

/**
 * How groups that are used together share the calls.
 *
 * @category models
 * @since 0.1.0
 */
export type { Options as SpillOptions } from "./Spillover.ts"

const priorityOf: Groups.Options["groupOf"] = (set, peer) => set.endpointOf(peer).priority

/** `Failed` is a group whose peers are all down or kept from calls. Only those that count are looked at. */
type Condition = "Ready" | "Connecting" | "Failed"

const conditionOf = ({ active, set }: Groups.Group, counts: (peer: Peer) => boolean): Condition => {
  if (set.ready.some(counts)) return "Ready"
  const counted = set.peers.filter(counts)
  // Of peers nobody has asked to connect nothing bad is known.
  const hopeful = counted.some(({ status }) => PeerStatus.mayBecomeReady(status))
  return hopeful || (!active && counted.length > 0) ? "Connecting" : "Failed"
}

/** What is remembered of a group: how it was, and when waiting for it ends. */
interface Memory {
  readonly condition: Condition
  /** Whether it has failed since it was last ready. */
  readonly failed: boolean
  readonly failover: number
}

const unknown: Memory = { condition: "Failed", failed: false, failover: -Infinity }

const remember = (before: Memory | undefined, condition: Condition, now: number, failoverTimeout: number): Memory => {
  const { failed, failover, condition: last } = before ?? unknown
  if (condition === "Ready") return { condition, failed: false, failover: -Infinity }
  if (condition === "Failed") return { condition, failed: true, failover: -Infinity }
  // A group that was well gets time to connect again; one that was failing has had it.
  const begins = before === undefined || (last !== "Connecting" && !failed)
  return { condition, failed, failover: begins ? now + failoverTimeout : failover }
}

/**
 * The options of `failover`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailoverOptions {
  /** How long a group that is connecting is waited for before the next group takes over. Default 10 seconds. */
  readonly failoverTimeout?: Duration.Input | undefined
  /** How long a group that is not used any more stays connected. Default 15 minutes. */
  readonly retentionInterval?: Duration.Input | undefined
}

/**
 * Uses the first group that is ready, or that has been connecting for less than `failoverTimeout` (default 10 seconds). A group
 * that is not used any more is disconnected after `retentionInterval` (default 15 minutes). Within a group the policy picks.
 *
 * @example
 * import { Priority, RoundRobin } from "trunkline"
 *
 * const policy = Priority.failover(RoundRobin.make(), { failoverTimeout: "3 seconds" })
 *
 * @category combinators
 * @since 0.1.0
 */
export const failover: {
  (options?: FailoverOptions): (self: Picker.PickerPolicy) => Picker.PickerPolicy
  (self: Picker.PickerPolicy, options?: FailoverOptions): Picker.PickerPolicy
} = Function.dual(PolicyWrapper.isDataFirst, (self: Picker.PickerPolicy, options?: FailoverOptions) => {
  const failoverTimeout = Duration.toMillis(options?.failoverTimeout ?? "10 seconds")
  return Groups.make(self, {
    groupOf: priorityOf,
    retentionMillis: Duration.toMillis(options?.retentionInterval ?? "15 minutes"),
    choice() {
      let memories: ReadonlyMap<number, Memory> = new Map()
      return (groups, now) => {
        const known = new Map(memories)
        memories = known
        const counting = Groups.counting(groups)
        // Who does not count and is ready nonetheless is better than to wait.
        const standby = groups.find((group) => !group.set.ready.every(counting(group)))
        for (const [index, group] of groups.entries()) {
          const before = group.active ? known.get(group.key) : undefined
          const memory = remember(before, conditionOf(group, counting(group)), now, failoverTimeout)
          known.set(group.key, memory)
          const waited = memory.condition === "Connecting" && now < memory.failover
          if (memory.condition !== "Ready" && !waited) continue
          // Those before it stay connected as well as they can: they are wanted back.
          const instead = waited ? standby : undefined
          const wanted = groups.filter((other, i) => i <= index || other === instead)
          const { picker } = instead ?? group
          return { wanted, picker, next: waited ? memory.failover : Infinity }
        }
        const hopeful = standby ?? groups.find(({ key }) => known.get(key)?.condition === "Connecting") ?? groups.at(-1)
        return { wanted: groups, picker: hopeful?.picker ?? Picker.empty, next: Infinity }
      }
    }
  })
})

/**
 * Spreads calls over the groups by their health: a group whose ready share times `overprovision` (default 1.4) is 1 or
 * more carries everything; what it lacks goes to the next groups. A group that gets no call is disconnected after `retentionInterval`
 * (default 15 minutes).
 *
 * @example
 * import { Priority, RoundRobin } from "trunkline"
 *
 * const policy = Priority.spill(RoundRobin.make())
 *
 * @category combinators
 * @since 0.1.0
 */
export const spill: {
  (options?: Spillover.Options): (self: Picker.PickerPolicy) => Picker.PickerPolicy
  (self: Picker.PickerPolicy, options?: Spillover.Options): Picker.PickerPolicy
} = Function.dual(
  PolicyWrapper.isDataFirst,
  (self: Picker.PickerPolicy, options?: Spillover.Options): Picker.PickerPolicy =>
    Spillover.make(self, priorityOf, options)
)
