import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { parse } from "../../src/cli/Arguments.ts"

describe("arguments", () => {
  it.effect("of a call", () =>
    Effect.gen(function* () {
      // oxfmt-ignore
      const command = yield* parse([
        "call", "greeter:50051", "shop.v1.Greeter/SayHello", '{"name":"Ada"}',
        "--retry", "3", "--deadline", "1.5s", "-H", "x-a: 1", "--header", "x-a:2", "-H", "x-b-bin: AQI=", "--tls"
      ])
      assert.deepStrictEqual(command, {
        _tag: "Call",
        target: "greeter:50051",
        service: "shop.v1.Greeter",
        method: "SayHello",
        json: '{"name":"Ada"}',
        attempts: 3,
        deadline: Duration.millis(1500),
        metadata: new Map<string, ReadonlyArray<string | Uint8Array>>([
          ["x-a", ["1", "2"]],
          ["x-b-bin", [Uint8Array.of(1, 2)]]
        ]),
        tls: true
      })
    })
  )

  it.effect("have defaults", () =>
    Effect.gen(function* () {
      const call = yield* parse(["call", "a:1", "/s/M"])
      assert.deepInclude(call, {
        json: "{}",
        attempts: 1,
        deadline: Duration.seconds(10),
        metadata: new Map(),
        tls: false
      })
      const watch = yield* parse(["watch", "http://a/b"])
      assert.deepInclude(watch, { once: false, interval: Duration.seconds(1) })
      assert.deepStrictEqual(yield* parse([]), { _tag: "Help" })
      assert.deepStrictEqual(yield* parse(["call", "--help"]), { _tag: "Help" })
    })
  )

  it.effect.each<[problem: string, args: ReadonlyArray<string>]>([
    [`"fly" is not a command`, ["fly"]],
    ["there is no command", ["--tls"]],
    ["call needs more: 2 words after it, not 1", ["call", "a:1"]],
    [`call does not know what to do with "more"`, ["call", "a:1", "s/M", "{}", "more"]],
    [`a method is package.Service/Method, not "s"`, ["call", "a:1", "s"]],
    [`a method is package.Service/Method, not "s/M/x"`, ["call", "a:1", "s/M/x"]],
    [`a method is package.Service/Method, not "s/"`, ["call", "a:1", "s/"]],
    [`--retry must be a number, at least 1, not "0"`, ["call", "a:1", "s/M", "--retry", "0"]],
    [`--deadline must be a time such as 500ms, 2s or 1m, not "soon"`, ["call", "a:1", "s/M", "--deadline", "soon"]],
    [`--deadline must be a time such as 500ms, 2s or 1m, not "0s"`, ["call", "a:1", "s/M", "--deadline", "0s"]],
    [`--header must be 'name: value', not "x"`, ["call", "a:1", "s/M", "-H", "x"]],
    ["--header: metadata", ["call", "a:1", "s/M", "-H", "grpc-x: 1"]],
    ["--once says nothing to call", ["call", "a:1", "s/M", "--once"]],
    ["--retry says nothing to watch", ["watch", "http://a", "--retry", "2"]],
    [`watch needs the http URL of a debug page, not "ftp://a"`, ["watch", "ftp://a"]],
    ["--nonsense", ["call", "a:1", "s/M", "--nonsense"]],
    ["explain needs more", ["explain"]]
  ])("%s", ([problem, args]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parse(args))
      assert.include(error.problem, problem)
      assert.include(error.message, "usage:")
    })
  )
})
