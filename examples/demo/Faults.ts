/**
 * What goes wrong in the demo, and when: one backend dies and comes back, another stops answering and goes on.
 */
import { Effect } from "effect"
import type { Backend } from "./Backends.ts"
import type { Journal } from "./Journal.ts"

/** What was done, to whom, and when it was done in milliseconds of the run. */
export interface Faults {
  readonly killed: Backend
  readonly frozen: Backend
  listening: number | undefined
}

/** What is the matter with a backend, if the demo has seen to it. */
export const conditionOf = ({ frozen, killed }: Faults, name: string): string =>
  [frozen, killed].find((backend) => backend.name === name)?.condition() ?? ""

/** The phases, in order. Each begins with what its name says. */
export const phases = {
  before: "before",
  killed: "one killed",
  restarted: "restarted",
  frozen: "one frozen",
  thawed: "thawed"
} as const

/** When they begin, as shares of the run: of 20 s, at 4, 8, 11 and 16 s. */
const moments = { kill: 0.2, restart: 0.4, freeze: 0.55, thaw: 0.8 }

/** Does it all in its time. */
export const inject = Effect.fnUntraced(function* (faults: Faults, journal: Journal, seconds: number) {
  const { frozen, killed } = faults
  const until = (share: number) =>
    Effect.suspend(() => Effect.sleep(Math.max(0, share * seconds * 1000 - journal.now())))

  yield* until(moments.kill)
  journal.begin(phases.killed)
  yield* killed.kill
  journal.tell(`${killed.name} is killed: SIGKILL to process ${killed.pid()}`, "bad")

  yield* until(moments.restart)
  journal.begin(phases.restarted)
  journal.tell(`${killed.name} is restarted on the same port`)
  yield* killed.restart
  faults.listening = journal.now()
  journal.tell(`${killed.name} listens again: process ${killed.pid()}`)

  yield* until(moments.freeze)
  journal.begin(phases.frozen)
  yield* frozen.freeze
  journal.tell(`${frozen.name} is frozen: SIGSTOP to process ${frozen.pid()}`, "bad")

  yield* until(moments.thaw)
  journal.begin(phases.thawed)
  yield* frozen.thaw
  journal.tell(`${frozen.name} goes on: SIGCONT to process ${frozen.pid()}`, "good")
})
