/** The pickers, by name. */
import {
  LeastPending,
  Maglev,
  PeakEwma,
  PendingLoad,
  PowerOfTwo,
  Random,
  Rendezvous,
  RingHash,
  RoundRobin,
  Weighted
} from "trunkline"
import type { Picker } from "trunkline/extend"

export const policies: Readonly<Record<string, () => Picker.PickerPolicy>> = {
  RoundRobin: () => RoundRobin.make(),
  Random: () => Random.make(),
  Weighted: () => Weighted.make(),
  PowerOfTwo: () => PowerOfTwo.make(),
  "PowerOfTwo, PeakEwma": () => PowerOfTwo.make({ load: PeakEwma.make() }),
  LeastPending: () => LeastPending.make(),
  "LeastPending, a look": () => LeastPending.make({ load: PendingLoad.make() }),
  RingHash: () => RingHash.make(),
  "RingHash, bound 1.25": () => RingHash.make({ bound: 1.25 }),
  Maglev: () => Maglev.make(),
  Rendezvous: () => Rendezvous.make()
}

export const names = Object.keys(policies)

/** Those that pick by the key of the call. */
export const byKey: ReadonlySet<string> = new Set(["RingHash", "RingHash, bound 1.25", "Maglev", "Rendezvous"])
