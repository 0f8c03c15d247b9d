/**
 * The lists and their latest switches, as the debug page shows them.
 */
import type { MultiEndpointReading } from "../introspection/Snapshot.ts"
import type { ListSnapshot, Switch } from "./MultiEndpointSnapshot.ts"

/** The number of switches kept for each list. */
const maxSwitches = 16

/** The latest switches of each list, newest first. */
export class SwitchHistory {
  readonly #byList = new Map<string, ReadonlyArray<Switch>>()

  add(next: Switch): void {
    this.#byList.set(next.multiEndpoint, [next, ...this.of(next.multiEndpoint)].slice(0, maxSwitches))
  }

  of(list: string): ReadonlyArray<Switch> {
    return this.#byList.get(list) ?? []
  }

  /** Forgets the lists that are not among these. */
  retain(lists: ReadonlySet<string>): void {
    for (const list of this.#byList.keys()) if (!lists.has(list)) this.#byList.delete(list)
  }
}

/** Reads the lists; `now` is in milliseconds of the wall clock. */
export const make = (
  lists: ReadonlyArray<ListSnapshot>,
  history: SwitchHistory,
  now: number
): ReadonlyArray<MultiEndpointReading> => {
  history.retain(new Set(lists.map(({ name }) => name)))
  return lists.map(({ current, endpoints, name, switchInMillis }) => ({
    name,
    current,
    endpoints,
    switchAt: switchInMillis === undefined ? undefined : now + switchInMillis,
    history: history.of(name).map(({ at, from, reason, to }) => ({ from, to, reason, at }))
  }))
}
