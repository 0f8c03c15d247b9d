import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Arguments from "../../examples/demo/Arguments.ts"

describe("Arguments", () => {
  it.effect("without any, is the demo's own run", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Arguments.parse([]), { help: false, targets: [], seconds: 20, rate: 400 })
    })
  )

  it.effect("takes targets with or without spaces after the commas", () =>
    Effect.gen(function* () {
      const { rate, seconds, targets } = yield* Arguments.parse([
        "--target=greeter:1, [::1]:2",
        "--seconds=1",
        "--rate",
        "5000"
      ])
      assert.deepStrictEqual(
        targets.map((endpoint) => endpoint.id),
        ["greeter:1", "[::1]:2"]
      )
      assert.deepStrictEqual([seconds, rate], [1, 5000])
    })
  )

  it.effect.each([
    [["--seconds", "9"], `--seconds is a whole number from 10 to 300, not "9" (--help says more)`],
    [["--seconds", "301"], `--seconds is a whole number from 10 to 300, not "301" (--help says more)`],
    [["--seconds", "20.5"], `--seconds is a whole number from 10 to 300, not "20.5" (--help says more)`],
    [["--rate", "0"], `--rate is a whole number from 1 to 5000, not "0" (--help says more)`],
    [["--rate", "1e3"], `--rate is a whole number from 1 to 5000, not "1e3" (--help says more)`],
    [["--rate", "5001"], `--rate is a whole number from 1 to 5000, not "5001" (--help says more)`],
    [["--target", ""], `address "": empty`],
    [["--target", "a:1,,b:2"], `address "": empty`],
    [["--target", "a:1,b"], `address "b": no port`],
    [["--faults"], "Unknown option '--faults' (--help says more)"],
    [["a:1"], "Unexpected argument 'a:1' (--help says more)"]
  ] as const)("%s is refused in a line", ([args, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Arguments.parse(args))
      assert.strictEqual(error.message, message)
    })
  )
})
