/** Of what a call and the policy of its method allow, the smaller holds; a policy of defaults is replaced by the call's own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, flow } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, MethodPolicy, ServiceConfig } from "trunkline"
import { scripted } from "../support/scripted.ts"

const never = Effect.never

/** The milliseconds that a call of one method has, over a policy of so many and with options of its own. */
const leftTo = Effect.fnUntraced(function* (policies: MethodPolicy.MethodPolicies, options: CallOptions.Combinator) {
  const { letters, seen } = yield* Effect.provideService(
    scripted(() => never),
    MethodPolicy.Current,
    policies
  )
  const call = yield* Effect.forkChild(Effect.exit(options(letters.one("x"))))
  yield* TestClock.adjust("1 hour")
  yield* Fiber.interrupt(call)
  return seen[0]!.left
})

const none: CallOptions.Combinator = CallOptions.update((options) => options)
const serviceConfig = Effect.fromResult(
  ServiceConfig.make({ methodConfig: [{ name: [{}], timeout: "2s", maxRequestMessageBytes: 100 }] })
)

const options: ReadonlyArray<readonly [string, CallOptions.Combinator, number, number]> = [
  ["says nothing", none, 2000, 2000],
  ["has less time", CallOptions.withDeadline("1 second"), 1000, 1000],
  ["has more time", CallOptions.withDeadline("3 seconds"), 2000, 3000],
  [
    "replaced what was set further out",
    flow(CallOptions.replaceDeadline("3 seconds"), CallOptions.withDeadline("1 second")),
    2000,
    3000
  ]
]

describe("the deadline of a call that", () => {
  it.effect.each(options)("%s: of a service config, and of defaults", ([, own, bounded, defaulted]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* leftTo(ServiceConfig.policies(yield* serviceConfig), own), bounded)
      const defaults: MethodPolicy.MethodPolicy = { limits: "defaults", deadlineMillis: 2000 }
      assert.strictEqual(yield* leftTo({ for: () => defaults }, own), defaulted)
    })
  )
})

describe("the largest request", () => {
  it.effect.each<readonly [number, number, number]>([
    [50, 50, 50],
    [200, 100, 200],
    [Infinity, 100, 100]
  ])("of a call that may send %s bytes", ([own, bounded, defaulted]) =>
    Effect.gen(function* () {
      const call = { ...CallOptions.Current.defaultValue(), maxSendBytes: own }
      const policy: MethodPolicy.MethodPolicy = { maxSendBytes: 100 }
      assert.strictEqual(MethodPolicy.applyTo(call, policy).maxSendBytes, bounded)
      assert.strictEqual(MethodPolicy.applyTo(call, { ...policy, limits: "defaults" }).maxSendBytes, defaulted)
    })
  )
})
