import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { gzipSync } from "node:zlib"
import { Compression } from "trunkline"
import { Deframer, FramingProblem } from "../../src/http2/Framing.ts"
import { compressed, expanded } from "../../src/http2/MessageEncoding.ts"

const text = "a line that repeats itself\n".repeat(100)
const bytes = new TextEncoder().encode(text)

describe.each(["gzip", "deflate"] as const)("%s", (encoding) => {
  it.effect("is smaller on the wire, and comes back marked as compressed", () =>
    Effect.gen(function* () {
      const wire = yield* compressed(bytes, encoding)
      assert.isBelow(wire.length, bytes.length / 10)
      const deframer = new Deframer(Infinity)
      deframer.push(wire)
      const frame = deframer.next()
      assert(frame !== undefined && !(frame instanceof FramingProblem))
      assert.isTrue(frame.compressed)
      const back = yield* expanded(frame, encoding, bytes.length)
      assert.strictEqual(new TextDecoder().decode(back), text)
      assert.isTrue(Compression.arrivedCompressed(back))
    })
  )

  it.effect("what is not of this encoding is said to be so", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(expanded({ compressed: true, bytes: Buffer.from("no") }, encoding, 100))
      assert.deepStrictEqual([problem.code, problem.message], ["INTERNAL", `a message is not ${encoding}`])
    })
  )
})

describe("a small message that expands into a large one", () => {
  const bomb = { compressed: true, bytes: gzipSync(Buffer.alloc(1_000_000)) }

  it.effect.each([
    [999_999, "RESOURCE_EXHAUSTED"],
    [1_000_000, undefined]
  ] as const)("where %s bytes are allowed: %s", ([limit, code]) =>
    Effect.gen(function* () {
      assert.isBelow(bomb.bytes.length, 2000)
      const result = yield* Effect.match(expanded(bomb, "gzip", limit), {
        onFailure: (problem) => problem.code,
        onSuccess: () => undefined
      })
      assert.strictEqual(result, code)
    })
  )
})

describe("a compressed message of a call without an encoding", () => {
  it.effect("is an error of the sender", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(expanded({ compressed: true, bytes: gzipSync("x") }, "identity", 100))
      assert.strictEqual(problem.code, "INTERNAL")
    })
  )
})
