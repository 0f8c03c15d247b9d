import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit } from "effect"
import { CallOptions, Deadline, ErrorDetails, RpcError } from "trunkline"
import { Call } from "trunkline/extend"
import * as ErrorType from "../../src/telemetry/ErrorType.ts"
import * as Spans from "../../src/telemetry/Spans.ts"

describe("the place of an address", () => {
  it.each([
    ["a:1", "a", 1],
    ["greeter", "greeter", undefined],
    ["10.0.0.1:50051", "10.0.0.1", 50051],
    ["[::1]:50051", "::1", 50051],
    ["dns:///greeter:50051", "greeter", 50051],
    ["dns:greeter:50051", "greeter", 50051],
    ["a:1,b:2", "a:1,b:2", undefined],
    ["unix:/run/a.sock", "/run/a.sock", undefined]
  ])("%s", (address, host, port) => {
    assert.deepStrictEqual(Spans.place("server", address), {
      "server.address": host,
      ...(port === undefined ? undefined : { "server.port": port })
    })
  })
})

describe("the type of an error", () => {
  const info = ErrorDetails.make(ErrorDetails.ErrorInfoSchema, { reason: "SERVICE_DISABLED" })
  const remote = (code: RpcError.RpcError["code"]) => RpcError.make(code, "", { origin: "remote" })
  const callUntil = (deadlineMillis: number) =>
    Effect.map(
      Clock.Clock,
      (clock) => new Call.Call({ ...CallOptions.Current.defaultValue(), deadlineMillis }, clock, Deadline.none)
    )

  it.effect.each([
    ["the server's reason", ErrorDetails.attach(remote("PERMISSION_DENIED"), info), "SERVICE_DISABLED"],
    ["the server's code", remote("PERMISSION_DENIED"), "PERMISSION_DENIED"],
    ["the server's deadline", remote("DEADLINE_EXCEEDED"), "DEADLINE_EXCEEDED"],
    ["the server's cancellation", remote("CANCELLED"), "CANCELLED"],
    ["our leaving", RpcError.make("CANCELLED", ""), "CLIENT_CANCELLED"],
    ["what broke here", RpcError.make("INTERNAL", "", { cause: new RangeError() }), "RangeError"],
    ["a cause that is not the point", RpcError.make("UNAVAILABLE", "", { cause: new RangeError() }), "UNAVAILABLE"]
  ] as const)("%s", ([, error, type]) =>
    Effect.gen(function* () {
      assert.strictEqual(ErrorType.ofCall(error, yield* callUntil(Infinity)), type)
    })
  )

  it.effect("our deadline, whoever says so", () =>
    Effect.gen(function* () {
      assert.strictEqual(ErrorType.ofCall(remote("DEADLINE_EXCEEDED"), yield* callUntil(0)), "CLIENT_TIMEOUT")
    })
  )

  it.each([
    ["a defect", Exit.die(new RangeError()), "RangeError"],
    ["an error", Exit.fail(RpcError.make("NOT_FOUND", "")), "NOT_FOUND"],
    ["an interruption", Exit.interrupt(), "CANCELLED"],
    ["an error with a reason", Exit.fail(ErrorDetails.attach(RpcError.make("NOT_FOUND", ""), info)), "SERVICE_DISABLED"]
  ])("of a handler: %s", (_, exit: Exit.Exit<never, RpcError.RpcError>, type) => {
    const error = RpcError.fromCause(Exit.isFailure(exit) ? exit.cause : Cause.empty)
    assert.strictEqual(ErrorType.ofHandler(error, exit), type)
  })
})
