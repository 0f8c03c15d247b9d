/** A request may be wrong in thousands of places; what is said of it is short and arrives. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import {
  Balancer,
  Client,
  ErrorDetails,
  Handlers,
  Interceptor,
  RoundRobin,
  Server,
  Service,
  StaticDiscovery,
  Validation
} from "trunkline"
import { wires } from "../support/wires.ts"
import * as Backend from "../support/backend.ts"

const Lists = Service.make("demo.Lists", {
  put: Service.unary(Schema.Struct({ words: Schema.Array(Schema.String) }), Schema.Void)
})
const rule = Validation.schema(Schema.Struct({ words: Schema.Array(Schema.NonEmptyString) }))

/** Handlers behind the rule, for a server that takes nothing else. */
const guarded = (): Handlers.Handlers => {
  const plain = Handlers.make(Lists, { put: () => Effect.void })
  const interceptor = Validation.make(rule)
  const build = Effect.map(Server.build({ handlers: [plain], interceptor }), ({ router }) => [...router.values()])
  return { ...plain, build: Effect.orDie(build) }
}

describe.each(wires)("a request with thousands of problems $name", (wire) => {
  wire.it("is told the first of them", () =>
    Effect.gen(function* () {
      const address = yield* wire.serve([guarded()])
      const lists = yield* Effect.provide(
        Client.make(Lists),
        yield* Layer.build(
          Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))
        )
      )
      const error = yield* Effect.flip(lists.put({ words: Array.from({ length: 5000 }, () => "") }))
      assert.deepStrictEqual([error.code, error.origin], ["INVALID_ARGUMENT", "remote"])
      assert.match(
        error.message,
        /words\[0\]: Expected a value with a length of at least 1; words\[1\].*; and 4984 more$/
      )
      assert.isBelow(error.message.length, 4000)
      assert.strictEqual(ErrorDetails.get(error, ErrorDetails.BadRequestSchema)?.fieldViolations.length, 16)
    }).pipe(Effect.provide(wire.layer))
  )
})

describe("a request", () => {
  const refused = (rule: Validation.Rule<unknown>, request: object) =>
    Effect.gen(function* () {
      const invoker = Interceptor.apply(Validation.make(rule), Backend.make().invoker)
      const call = yield* Backend.newCall()
      return yield* Effect.flip(Backend.run(invoker, "unary", { call, request: request as { readonly text: string } }))
    })

  it.effect("with names and texts without end is told their beginnings", () =>
    Effect.gen(function* () {
      const error = yield* refused(() => ({ ["n".repeat(10_000)]: "p".repeat(10_000) }), { text: "" })
      assert.strictEqual(error.reason.message, `${"n".repeat(119)}…: ${"p".repeat(199)}…`)
    })
  )

  it.effect("that refers to itself is wrong, and no bug", () =>
    Effect.gen(function* () {
      interface Node {
        readonly next: Node
      }
      const Node: Schema.Codec<Node> = Schema.Struct({ next: Schema.suspend(() => Node) })
      const cyclic: { next?: unknown } = {}
      cyclic.next = cyclic
      const error = yield* refused(Validation.schema(Node), cyclic)
      assert.deepStrictEqual(
        [error.code, error.reason.message],
        ["INVALID_ARGUMENT", "request: cannot be looked at: it is nested too deeply"]
      )
    })
  )
})
