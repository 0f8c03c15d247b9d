/** Combinators of picker policies take the policy first, or come last in a pipe. */
import { pipe } from "effect"
import { ExcludeTried, Locality, Panic, Priority, RoundRobin, Sticky, Subset } from "trunkline"
import type { Picker } from "trunkline/extend"
import { describe, expectTypeOf, it } from "vitest"

type Policy = Picker.PickerPolicy
type Combinator = (self: Policy) => Policy

const self = RoundRobin.make()

describe("combinators of picker policies", () => {
  it("make a policy of a policy", () => {
    expectTypeOf(ExcludeTried.from(self)).toEqualTypeOf<Policy>()
    expectTypeOf(Locality.aware(self, "a")).toEqualTypeOf<Policy>()
    expectTypeOf(Locality.prefer(self, "a", { overprovision: 2 })).toEqualTypeOf<Policy>()
    expectTypeOf(Panic.below(self, 0.5)).toEqualTypeOf<Policy>()
    expectTypeOf(Priority.failover(self)).toEqualTypeOf<Policy>()
    expectTypeOf(Priority.spill(self, {})).toEqualTypeOf<Policy>()
    expectTypeOf(Sticky.byKey(self)).toEqualTypeOf<Policy>()
    expectTypeOf(Subset.aperture(self, { ordinal: 1, clients: 2 })).toEqualTypeOf<Policy>()
    expectTypeOf(Subset.rendezvous(self, { size: 2 })).toEqualTypeOf<Policy>()
  })

  it("make a function of a policy when they have their options alone", () => {
    expectTypeOf(Locality.aware("a", { minimumPeers: 3 })).toEqualTypeOf<Combinator>()
    expectTypeOf(Locality.prefer("a")).toEqualTypeOf<Combinator>()
    expectTypeOf(Panic.below(0.5)).toEqualTypeOf<Combinator>()
    expectTypeOf(Priority.failover({ failoverTimeout: "3 seconds" })).toEqualTypeOf<Combinator>()
    expectTypeOf(Priority.spill()).toEqualTypeOf<Combinator>()
    expectTypeOf(Sticky.byKey({ capacity: 3 })).toEqualTypeOf<Combinator>()
    expectTypeOf(Subset.aperture({ ordinal: 1, clients: 2 })).toEqualTypeOf<Combinator>()
    expectTypeOf(Subset.rendezvous({ size: 2 })).toEqualTypeOf<Combinator>()
    expectTypeOf(pipe(self, Panic.below(0.5), ExcludeTried.from)).toEqualTypeOf<Policy>()
  })

  it("refuse what is neither", () => {
    // @ts-expect-error -- a locality is a text
    Locality.prefer(self, 1)
    // @ts-expect-error -- a subset has a size
    Subset.rendezvous({})
    // @ts-expect-error -- options of another combinator
    Sticky.byKey({ overprovision: 2 })
  })
})
