/** The program as people run it: a process of its own against real servers. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFile, execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Interceptor, Introspection, type Metadata, Reflection, RpcError } from "trunkline"
import { GrpcJsServer } from "trunkline/grpc-js"
import { NodeDebugPage } from "trunkline/debug-page"
import type { Call } from "trunkline/extend"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const out = "build/cli"

beforeAll(() => {
  rmSync(out, { recursive: true, force: true })
  execFileSync(process.execPath, [".config/bundle.mjs"], { env: { ...process.env, OUT: out } })
}, 120_000)

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program to its end; a signal is what an impatient person sends. */
const trunkline = (...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      [`${out}/cli/main.js`, ...args],
      { timeout: 20_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1
        resume(Effect.succeed({ code, stdout, stderr }))
      }
    )
    return Effect.sync(() => child.kill())
  })

/** A server that explains itself, fails the first calls of its own methods, and notes what it was sent. */
const served = (options?: {
  readonly failures?: number
  readonly handlers?: GrpcJsServer.Options<never>["handlers"]
}) =>
  Effect.gen(function* () {
    const seen: Array<Metadata.Metadata> = []
    let failures = options?.failures ?? 0
    const interceptor: Interceptor.Interceptor = {
      unary: (next) => (method, request, call: Call.Call) =>
        Effect.suspend(() => {
          seen.push(call.options.metadata)
          return failures-- > 0 ? Effect.fail(RpcError.make("UNAVAILABLE", "not yet")) : next(method, request, call)
        }),
      stream: (next) => next
    }
    const handlers = options?.handlers ?? [echoHandlers("here"), ...Reflection.handlers([EchoService])]
    const { address } = yield* GrpcJsServer.make({ handlers, interceptor, drainTimeout: 0 })
    return { address, seen }
  })

const method = (name: string) => `${EchoService.typeName}/${name}`

describe("call", { timeout: 60_000 }, () => {
  it.live("finds the method and prints the answer as JSON", () =>
    Effect.gen(function* () {
      const { address, seen } = yield* served()
      const args = ["-H", "x-who: me", "--header", "x-raw-bin: AQI="]
      const ended = yield* trunkline("call", address, method("Lookup"), '{"text":"hi"}', ...args)
      assert.deepStrictEqual(ended, { code: 0, stdout: '{"text":"hi","server":"here"}\n', stderr: "" })
      assert.deepStrictEqual(seen[0]?.get("x-who"), ["me"])
      assert.deepStrictEqual(
        seen[0]?.get("x-raw-bin")?.map((value) => [...Buffer.from(value as Uint8Array)]),
        [[1, 2]]
      )
    }).pipe(Effect.scoped)
  )

  it.live("streams: a line for each message, and an array for many requests", () =>
    Effect.gen(function* () {
      const { address } = yield* served()
      const many = yield* trunkline("call", address, method("Expand"), '{"text":"x","count":3}')
      assert.deepStrictEqual(
        many.stdout
          .trim()
          .split("\n")
          .map((line) => (JSON.parse(line) as { index?: number }).index ?? 0),
        [0, 1, 2]
      )
      const sum = yield* trunkline("call", address, method("Collect"), '[{"text":"a"},{"text":"b"}]')
      assert.include(sum.stdout, '"text":"ab"')
      const chat = yield* trunkline("call", address, method("Chat"), '[{"text":"a"},{"text":"b"}]')
      assert.deepStrictEqual(chat.stdout.match(/"text":"(A|B)"/g), ['"text":"A"', '"text":"B"'])
    }).pipe(Effect.scoped)
  )

  it.live("tries again as often as it is told", () =>
    Effect.gen(function* () {
      const stubborn = yield* served({ failures: 2 })
      const ended = yield* trunkline("call", stubborn.address, method("Lookup"), "{}", "--retry", "3")
      assert.deepStrictEqual([ended.code, stubborn.seen.length], [0, 3])
      const once = yield* served({ failures: 2 })
      const failed = yield* trunkline("call", once.address, method("Lookup"))
      assert.deepStrictEqual([failed.code, once.seen.length], [1, 1])
      assert.strictEqual(failed.stderr, "trunkline: [UNAVAILABLE] not yet\n")
    }).pipe(Effect.scoped)
  )

  it.live("ends by its deadline, whatever it waits for", () =>
    Effect.gen(function* () {
      const { address } = yield* served()
      const slow = yield* trunkline("call", address, method("Echo"), '{"delayMillis":20000}', "--deadline", "500ms")
      assert.deepStrictEqual([slow.code, slow.stdout], [1, ""])
      assert.match(slow.stderr, /^trunkline: \[DEADLINE_EXCEEDED\]/)
      // Nobody is there, and there is nothing to wait for.
      const nobody = yield* trunkline("call", "127.0.0.1:1", "a.B/C", "--deadline", "1h")
      assert.strictEqual(nobody.code, 1)
      assert.match(nobody.stderr, /^trunkline: \[UNAVAILABLE\] .*127\.0\.0\.1:1 .*ECONNREFUSED/)
    }).pipe(Effect.scoped)
  )

  it.live("names what was wrong", () =>
    Effect.gen(function* () {
      const { address } = yield* served()
      const silent = yield* served({ handlers: [echoHandlers("silent")] })
      const cases: ReadonlyArray<readonly [code: number, says: RegExp, ...args: ReadonlyArray<string>]> = [
        [2, /a\.B is not known to the server/, address, "a.B/C"],
        [2, /EchoService\/Fly is not a method; there is Echo,/, address, method("Fly")],
        [2, /EchoRequest is not a service/, address, `${EchoService.typeName.replace("EchoService", "EchoRequest")}/X`],
        [2, /the request is not JSON/, address, method("Lookup"), "{nonsense"],
        [2, /the request of .*EchoService\/Lookup is wrong: .*"colour"/, address, method("Lookup"), '{"colour":1}'],
        [2, /"nowhere".*port/, "nowhere", method("Lookup")],
        [1, /127\.0\.0\.1:\d+ serves no reflection/, silent.address, method("Lookup")],
        [1, /\[NOT_FOUND\] \\u001b\[31mgone/, address, method("Lookup"), '{"failCode":5,"text":"\\u001b[31mgone"}']
      ]
      for (const [code, says, ...args] of cases) {
        const ended = yield* trunkline("call", ...args)
        assert.match(ended.stderr, says)
        assert.deepStrictEqual([ended.code, ended.stdout], [code, ""], args.join(" "))
      }
    }).pipe(Effect.scoped)
  )
})

describe("watch", { timeout: 60_000 }, () => {
  it.live("draws the backends", () =>
    Effect.gen(function* () {
      yield* Introspection.register({
        _tag: "Pool",
        read: Effect.succeed({ target: "the cellar", discovery: {}, peers: [] })
      })
      const { url } = yield* NodeDebugPage.make()
      const ended = yield* trunkline("watch", url, "--once")
      assert.deepStrictEqual([ended.code, ended.stderr], [0, ""])
      assert.match(ended.stdout, /^backends as of .* UTC\n\nthe cellar {2}0 of 0 ready\nBACKEND/)
    }).pipe(Effect.scoped, Effect.provide(Introspection.layer()))
  )

  it.live("goes on until it is stopped, and then stops at once", () =>
    Effect.gen(function* () {
      const { url } = yield* NodeDebugPage.make()
      const frames = yield* Effect.callback<string>((resume) => {
        const child = execFile(process.execPath, [`${out}/cli/main.js`, "watch", url, "--interval", "100ms"])
        let drawn = ""
        child.stdout!.on("data", (text: string) => {
          drawn += text
          if (drawn.split("backends as of").length > 4) child.kill("SIGINT")
        })
        child.on("close", (code) => resume(Effect.succeed(`${code} ${drawn}`)))
        return Effect.sync(() => child.kill())
      })
      assert.match(frames, /^130 backends as of/)
    }).pipe(Effect.scoped, Effect.provide(Introspection.layer()))
  )

  it.live("names the address that is wrong, and how", () =>
    Effect.gen(function* () {
      const { url } = yield* NodeDebugPage.make({ authorize: () => Effect.succeed(false) })
      const refused = yield* trunkline("watch", url)
      assert.deepStrictEqual([refused.code, refused.stderr], [1, `trunkline: ${url}: answered with status 403\n`])
      const nobody = yield* trunkline("watch", "http://127.0.0.1:1/x")
      assert.strictEqual(nobody.code, 1)
      assert.match(nobody.stderr, /^trunkline: http:\/\/127\.0\.0\.1:1\/x: ./)
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(Introspection.layer())))
  )
})

describe("explain", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "trunkline-"))
  const file = (name: string, content: unknown) => {
    const path = join(folder, name)
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
    return path
  }
  const retryPolicy = {
    maxAttempts: 3,
    initialBackoff: "1s",
    maxBackoff: "5s",
    backoffMultiplier: 2,
    retryableStatusCodes: ["UNAVAILABLE"]
  }

  it.live("says what a service config does", () =>
    Effect.gen(function* () {
      const good = file("good.json", { methodConfig: [{ name: [{ service: "a.B" }], timeout: "1.5s", retryPolicy }] })
      const ended = yield* trunkline("explain", good)
      assert.deepStrictEqual([ended.code, ended.stderr], [0, ""])
      assert.include(ended.stdout, "attempts: at most 3")
      assert.include(ended.stdout, "1s 500ms")
    })
  )

  it.live("names the file and the field that are wrong", () =>
    Effect.gen(function* () {
      const wrong = file("wrong.json", { methodConfig: [{ retryPolicy: { ...retryPolicy, maxBackoff: "soon" } }] })
      const text = file("text.json", "not JSON")
      const other = file("other.json", { name: "trunkline" })
      const cases = [
        [wrong, /wrong\.json: .*methodConfig\[0\]\.retryPolicy\.maxBackoff/],
        [text, /text\.json: it is not JSON/],
        [other, /other\.json: it is no file of policies/],
        [join(folder, "none.json"), /none\.json: ENOENT/]
      ] as const
      for (const [path, says] of cases) {
        const { code, stderr, stdout } = yield* trunkline("explain", path)
        assert.match(stderr, says)
        assert.deepStrictEqual([code, stdout], [2, ""])
      }
      rmSync(folder, { recursive: true })
    })
  )
})

describe("the program", { timeout: 60_000 }, () => {
  it.live("helps whoever asks", () =>
    Effect.gen(function* () {
      const none = yield* trunkline()
      assert.deepStrictEqual([none.code, none.stderr], [0, ""])
      for (const name of ["call", "watch", "explain"]) {
        assert.match(none.stdout, new RegExp(`^  ${name} `, "m"))
        const help = yield* trunkline(name, "--help")
        assert.deepStrictEqual([help.code, help.stderr], [0, ""])
        assert.include(help.stdout, `trunkline ${name} `)
      }
    })
  )

  it.live("tells whoever goes wrong what is wrong, and how it is used, in a few lines", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* trunkline("cal")
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.match(stderr, /^trunkline: Unknown subcommand "cal"[^]*Did you mean this\?\n {4}call\n\nusage: trunkline /)
      assert.isAtMost(stderr.split("\n").length, 8)
      const wrong = yield* trunkline("call", "a:1", "a.B/C", "--retry", "no")
      assert.strictEqual(wrong.code, 2)
      assert.match(wrong.stderr, /^trunkline: .*--retry: "no".*\n\nusage: trunkline call /)
    })
  )

  it.live("knows its version, and completes what is typed", () =>
    Effect.gen(function* () {
      const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string }
      assert.strictEqual((yield* trunkline("--version")).stdout, `trunkline v${version}\n`)
      for (const shell of ["bash", "zsh", "fish"]) {
        const { code, stdout } = yield* trunkline("--completions", shell)
        assert.strictEqual(code, 0)
        for (const word of ["call", "watch", "explain", "retry", "deadline"]) assert.include(stdout, word)
      }
    })
  )
})
