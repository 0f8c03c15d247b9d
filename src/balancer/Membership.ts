/**
 * Who belongs to a pool: the peers of the last list, and those of earlier ones whose calls still end.
 *
 * An endpoint that leaves the list and comes back does not meet its old peer: that one drains by itself, and the endpoint
 * gets another. Each peer a pool holds is therefore a member with a number of its own, and everything that is later said of
 * a member says its number. It is a machine without time or effects; who runs it retains and releases as it commands.
 */
import * as Endpoint from "../discovery/Endpoint.ts"

/** A peer that the pool holds for an endpoint. No two members have one generation. */
export interface Member {
  readonly generation: number
  readonly endpoint: Endpoint.Endpoint
}

/** Who is listed, by endpoint id and in the list's order, and the generations of those who drain. */
export interface State {
  readonly listed: ReadonlyMap<string, Member>
  readonly draining: ReadonlySet<number>
  /** How many members there ever were. */
  readonly generations: number
}

/** `Join` retains a peer for a member; `Leave` releases it, and what was held ends when its calls have. */
export type Command =
  | { readonly _tag: "Join"; readonly member: Member }
  | { readonly _tag: "Leave"; readonly member: Member }

/** The state, and what is to be done. */
export type Step = readonly [state: State, commands: ReadonlyArray<Command>]

/** A pool that has not been told of anybody. */
export const empty: State = { listed: new Map(), draining: new Set(), generations: 0 }

/** What says which backend a connection leads to. A change of anything else changes no connection. */
const identity = ({ address, authority }: Endpoint.Endpoint): string =>
  JSON.stringify([Endpoint.format(address), authority])

/** Discovery has named the endpoints there are. Of those with one id the last counts, in the place of the first. */
export const update = (self: State, endpoints: ReadonlyArray<Endpoint.Endpoint>): Step => {
  const wanted = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]))
  const listed = new Map<string, Member>()
  const joins: Array<Command> = []
  let { generations } = self
  for (const [id, endpoint] of wanted) {
    const known = self.listed.get(id)
    if (known !== undefined && identity(known.endpoint) === identity(endpoint)) {
      listed.set(id, { ...known, endpoint })
      continue
    }
    const member = { generation: ++generations, endpoint }
    listed.set(id, member)
    joins.push({ _tag: "Join", member })
  }
  const left = [...self.listed.values()].filter(
    ({ endpoint, generation }) => listed.get(endpoint.id)?.generation !== generation
  )
  const draining = new Set([...self.draining, ...left.map(({ generation }) => generation)])
  // Who comes first: a pool that exchanges its last peer is never without one.
  const leaves = left.map((member): Command => ({ _tag: "Leave", member }))
  return [{ listed, draining, generations }, [...joins, ...leaves]]
}

/** What was held for a member is held no more: it has drained, or it failed and its endpoint gets another one. */
export const ended = (self: State, generation: number): Step => {
  if (self.draining.has(generation)) {
    const draining = new Set(self.draining)
    draining.delete(generation)
    return [{ ...self, draining }, []]
  }
  const failed = [...self.listed.values()].find((member) => member.generation === generation)
  if (failed === undefined) return [self, []]
  const { endpoint } = failed
  const generations = self.generations + 1
  const member = { generation: generations, endpoint }
  // Setting a key again keeps its place.
  return [{ ...self, listed: new Map(self.listed).set(endpoint.id, member), generations }, [{ _tag: "Join", member }]]
}
