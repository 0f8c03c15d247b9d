import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { CliError, CliOutput, Command } from "effect/cli"
import * as CallCommand from "../../src/cli/CallCommand.ts"
import * as ExplainCommand from "../../src/cli/ExplainCommand.ts"
import * as Host from "../../src/cli/Host.ts"
import * as WatchCommand from "../../src/cli/WatchCommand.ts"

/** What the commands are told, instead of doing it. */
const parse = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  let told: unknown
  const note = (input: unknown) => Effect.sync(() => void (told = input))
  const command = Command.make("trunkline").pipe(
    Command.withSubcommands([
      Command.withHandler(CallCommand.command, note),
      Command.withHandler(WatchCommand.command, note),
      Command.withHandler(ExplainCommand.command, note)
    ])
  )
  yield* Command.runWith(command, { version: "0" })(args).pipe(
    Effect.provideService(CliOutput.Presenter, { present: () => Effect.void }),
    Effect.provide(Host.layer)
  )
  return told as object
})

describe("arguments", () => {
  it.effect("of a call", () =>
    Effect.gen(function* () {
      // oxfmt-ignore
      const command = yield* parse([
        "call", "greeter:50051", "shop.v1.Greeter/SayHello", '{"name":"Ada"}',
        "--retry", "3", "--deadline", "1.5s", "-H", "x-a: 1", "--header", "x-a:2", "-H", "x-b-bin: AQI=", "--tls"
      ])
      assert.deepStrictEqual(command, {
        target: "greeter:50051",
        method: { service: "shop.v1.Greeter", name: "SayHello" },
        json: '{"name":"Ada"}',
        retry: 3,
        deadline: Duration.millis(1500),
        header: new Map<string, ReadonlyArray<string | Uint8Array>>([
          ["x-a", ["1", "2"]],
          ["x-b-bin", [Uint8Array.of(1, 2)]]
        ]),
        tls: true
      })
    })
  )

  it.effect("have defaults", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* parse(["call", "a:1", "/s/M"]), {
        target: "a:1",
        method: { service: "s", name: "M" },
        json: "{}",
        retry: 1,
        deadline: Duration.seconds(10),
        header: new Map(),
        tls: false
      })
      const watch = yield* parse(["watch", "http://a/b"])
      assert.deepInclude(watch, { once: false, interval: Duration.seconds(1) })
      assert.deepStrictEqual(yield* parse(["explain", "a.json"]), { file: "a.json" })
    })
  )

  it.effect.each<[problem: string, args: ReadonlyArray<string>]>([
    [`Unknown subcommand "fly" for "trunkline"`, ["fly"]],
    ["Missing required argument: method", ["call", "a:1"]],
    [`Unexpected positional argument: "more"`, ["call", "a:1", "s/M", "{}", "more"]],
    [`argument <method>: "s". Expected: package.Service/Method`, ["call", "a:1", "s"]],
    [`argument <method>: "s/M/x". Expected: package.Service/Method`, ["call", "a:1", "s/M/x"]],
    [`argument <method>: "s/". Expected: package.Service/Method`, ["call", "a:1", "s/"]],
    [`flag --retry: "0". Expected: a number, at least 1`, ["call", "a:1", "s/M", "--retry", "0"]],
    [`flag --deadline: "soon". Expected: a time such as 500ms`, ["call", "a:1", "s/M", "--deadline", "soon"]],
    [`flag --deadline: "0s". Expected: a time such as 500ms`, ["call", "a:1", "s/M", "--deadline", "0s"]],
    [`flag --header: "x". Expected: 'name: value'`, ["call", "a:1", "s/M", "-H", "x"]],
    [`"grpc-x": keys starting with grpc-`, ["call", "a:1", "s/M", "-H", "grpc-x: 1"]],
    ["Unrecognized flag: --once in command trunkline call", ["call", "a:1", "s/M", "--once"]],
    ["Unrecognized flag: --retry in command trunkline watch", ["watch", "http://a", "--retry", "2"]],
    [`argument <url>: "ftp://a". Expected: the http URL of a debug page`, ["watch", "ftp://a"]],
    ["Unrecognized flag: --nonsense", ["call", "a:1", "s/M", "--nonsense"]],
    ["Missing required argument: file", ["explain"]]
  ])("%s", ([problem, args]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parse(args))
      assert.instanceOf(error, CliError.ShowHelp)
      assert.include((error as CliError.ShowHelp).errors.map(({ message }) => message).join("\n"), problem)
    })
  )
})
