/** All of them, in the order in which they are told. */
import type { Scenario } from "./Scenario.ts"
import { deploy } from "./scenarios/deploy.ts"
import { failing } from "./scenarios/failing.ts"
import { frozen } from "./scenarios/frozen.ts"
import { keysStay } from "./scenarios/keys.ts"
import { lowRate } from "./scenarios/lowRate.ts"
import { outage, restart } from "./scenarios/outage.ts"
import { stall } from "./scenarios/stall.ts"
import { supermarket } from "./scenarios/supermarket.ts"
import { weightedFailing, weightedFrozen } from "./scenarios/weights.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  stall,
  frozen,
  failing,
  weightedFrozen,
  weightedFailing,
  lowRate,
  supermarket,
  outage,
  restart,
  deploy,
  keysStay
]
