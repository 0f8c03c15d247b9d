/** Policies are schedules over `RpcError`, and only that. */
import { type Duration, Effect, Schedule } from "effect"
import { Backoff, Retry, RpcError } from "trunkline"
import { describe, expectTypeOf, it } from "vitest"

type Policy = Schedule.Schedule<Duration.Duration, RpcError.RpcError>

const backoff = Backoff.exponential()

describe("Retry", () => {
  it("makes schedules that say their delay, need nothing and cannot fail", () => {
    expectTypeOf(Retry.onCodes(["UNAVAILABLE"], backoff)).toEqualTypeOf<Policy>()
    expectTypeOf(Retry.onHttpCodes([503], Schedule.recurs(1))).toEqualTypeOf<Policy>()
    expectTypeOf(Retry.onError((error) => error.code === "ABORTED", backoff)).toEqualTypeOf<Policy>()
    expectTypeOf(
      Retry.onCodes([], backoff).pipe(Retry.maxAttempts(3), Retry.totalTimeout("1 second"))
    ).toEqualTypeOf<Policy>()
    expectTypeOf(Schedule.min([Retry.gax, Schedule.spaced(1)])).toExtend<Retry.RetryPolicy>()
  })

  it("refuses codes that do not exist, and effects that fail otherwise", () => {
    // @ts-expect-error -- no such code
    Retry.onCodes(["LATER"], backoff)
    // @ts-expect-error -- OK is no failure
    Retry.onCodes(["OK"], backoff)
    // @ts-expect-error -- the policy reads RpcErrors
    Effect.retry(Effect.fail("broken"), Retry.gax)
    expectTypeOf(Effect.retry(Effect.fail(RpcError.make("ABORTED", "x")), Retry.gax)).toEqualTypeOf<
      Effect.Effect<never, RpcError.RpcError>
    >()
  })

  it("takes settings for configuration as Config", () => {
    // @ts-expect-error -- the codes are not a Config
    Retry.layerConfig({ codes: ["UNAVAILABLE"] })
  })
})
