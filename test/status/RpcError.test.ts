import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import { Code, RpcError } from "trunkline"

/** `NOT_FOUND` is the reason `NotFound`. */
const tagOf = (code: Code.Code): string =>
  code.toLowerCase().replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())

describe("RpcError", () => {
  it.each(Code.all)("%s has a reason of its own", (code) => {
    const error = RpcError.make(code, "why")
    assert.strictEqual(error.reason._tag, tagOf(code))
    assert.strictEqual(error.code, code)
    assert.strictEqual(error.message, `[${code}] why`)
    assert.strictEqual(error.reason.message, "why")
    assert.isTrue(RpcError.isRpcError(error))
  })

  it.effect("catchReason selects its code and leaves the others", () =>
    Effect.gen(function* () {
      const select = (code: Code.Code) =>
        Effect.fail(RpcError.make(code, "x")).pipe(
          Effect.catchReason("RpcError", "Unavailable", () => Effect.succeed("caught")),
          Effect.catchTag("RpcError", (error) => Effect.succeed(error.code))
        )
      assert.strictEqual(yield* select("UNAVAILABLE"), "caught")
      assert.strictEqual(yield* select("INTERNAL"), "INTERNAL")
    })
  )

  it("says what is known, and nothing it does not know", () => {
    const plain = RpcError.make("INTERNAL", "x")
    assert.deepStrictEqual(
      [plain.origin, plain.method, plain.peer, plain.attempts, plain.stopped, plain.trailers.size],
      ["local", undefined, undefined, [], undefined, 0]
    )
    const attempt = { peer: "a:1", code: "INTERNAL", elapsedMillis: 1, delayMillis: 0 } as const
    const known = RpcError.annotate(RpcError.make("INTERNAL", "x", { method: "/s/M", peer: "a:1", origin: "remote" }), {
      attempts: [attempt],
      stopped: "deadline"
    })
    assert.deepStrictEqual(
      [known.origin, known.method, known.peer, known.attempts, known.stopped, known.message],
      ["remote", "/s/M", "a:1", [attempt], "deadline", "[INTERNAL] x"]
    )
  })

  it("knows whether the server had begun to answer, even with empty headers", () => {
    const begun = RpcError.make("INTERNAL", "x", { headers: new Map() })
    const answered = [RpcError.make("INTERNAL", "x"), begun].map((error) => [
      error.answered,
      RpcError.annotate(error, { stopped: "attempts" }).answered
    ])
    assert.deepStrictEqual(answered, [
      [false, false],
      [true, true]
    ])
  })

  it("is not anything that looks like one", () => {
    for (const u of [{ _tag: "RpcError" }, new Error("RpcError"), undefined]) assert.isFalse(RpcError.isRpcError(u))
  })

  const typed = RpcError.make("NOT_FOUND", "gone")
  const defect = Cause.makeDieReason(new Error("secret"))
  const interrupt = Cause.makeInterruptReason(1)
  it.each([
    ["a typed failure", [Cause.makeFailReason(typed)], "NOT_FOUND"],
    ["a failure beside a defect", [defect, Cause.makeFailReason(typed)], "NOT_FOUND"],
    ["a failure beside an interruption", [interrupt, Cause.makeFailReason(typed)], "NOT_FOUND"],
    ["a defect", [defect], "INTERNAL"],
    ["a defect beside an interruption", [interrupt, defect], "INTERNAL"],
    ["an interruption", [interrupt], "CANCELLED"],
    ["a failure of another kind", [Cause.makeFailReason("secret")], "UNKNOWN"]
  ] as const)("%s becomes the right status, without the text of a defect", (_name, reasons, code) => {
    const error = RpcError.fromCause(Cause.fromReasons<unknown>(reasons))
    assert.strictEqual(error.code, code)
    assert.notInclude(error.message, "secret")
  })
})
