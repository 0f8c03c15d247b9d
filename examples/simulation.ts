/**
 * A picker of one's own, on a bad day.
 *
 * `Simulation` runs the real client, pool and signals against servers that stall, fail, come and go, in time that jumps: the
 * minute below takes about a second, and comes out the same each time. This picker keeps to the peer with the fewest calls
 * until it has a few more than the next; what that does when one of the servers stalls is not easy to see by thinking.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/simulation.js
 */
import { Console, Effect } from "effect"
import { type Balancer, CallOptions, RoundRobin } from "trunkline"
import { Picker } from "trunkline/extend"
import { Simulation } from "trunkline/testing"

/** Stays where it is, as long as nobody has so many calls fewer. */
const sticky = (slack: number): Picker.PickerPolicy =>
  Picker.overReady((ready) => {
    let current = ready[0]!
    return {
      pick() {
        for (const peer of ready) if (peer.stats.pending + slack < current.stats.pending) current = peer
        return current
      }
    }
  })

const takes = Simulation.exponential("20 millis")

/** Five servers; for ten seconds one of them takes two seconds for a call. */
const badDay = (balancer: Omit<Balancer.Options, "discovery">) =>
  Simulation.run({
    duration: "1 minute",
    servers: [
      { takes, faults: [Simulation.taking("2 seconds", { from: "20 seconds", to: "30 seconds" })] },
      { takes },
      { takes },
      { takes },
      { takes }
    ],
    clients: [{ callsPerSecond: 400, balancer, calls: [CallOptions.withDeadline("1 second")] }]
  })

const tell = Effect.fnUntraced(function* (name: string, balancer: Omit<Balancer.Options, "discovery">) {
  const report = yield* badDay(balancer)
  const stalled = report.between("20 seconds", "30 seconds")
  const percent = (part: number) => `${(part * 100).toFixed(0)} %`
  yield* Console.log(
    `${name}: ${percent(stalled.successRate)} well, ${percent(stalled.share("server-0:1"))} to the one that stalls`
  )
})

const program = Effect.gen(function* () {
  yield* tell("round robin", { picker: RoundRobin.make() })
  // => round robin: 80 % well, 20 % to the one that stalls
  yield* tell("sticky", { picker: sticky(3) })
  // => sticky: 99 % well, 1 % to the one that stalls
  yield* tell("default", {})
  // => default: 100 % well, 0 % to the one that stalls
})

await Effect.runPromise(program)
