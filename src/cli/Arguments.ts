/**
 * What the command line asks for.
 *
 * Node's `parseArgs` reads it. effect's own `cli` needs a terminal, a file system and processes from a platform package,
 * which wants a newer Node than this library does.
 */
import { parseArgs } from "node:util"
import { Data, Duration, Effect, Predicate, Result } from "effect"
import * as Metadata from "../call/Metadata.ts"

/** A command line that cannot be understood. The problem names the argument. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly problem: string }> {
  override get message(): string {
    return `${this.problem}\n\n${usage}`
  }
}

/** What can be asked for. */
export type Command =
  | { readonly _tag: "Help" }
  | {
      readonly _tag: "Call"
      readonly target: string
      readonly service: string
      readonly method: string
      readonly json: string
      readonly attempts: number
      readonly deadline: Duration.Duration
      readonly metadata: Metadata.Metadata
      readonly tls: boolean
    }
  | { readonly _tag: "Watch"; readonly url: URL; readonly once: boolean; readonly interval: Duration.Duration }
  | { readonly _tag: "Explain"; readonly file: string }

/** What is printed for whoever asks, or goes wrong. */
export const usage = `usage:
  trunkline call HOST:PORT PACKAGE.SERVICE/METHOD [JSON]
      calls a method that the server explains by reflection; a stream of requests is a JSON array
      --retry N            makes at most N attempts while the server is unavailable (default 1)
      --deadline TIME      ends the call after this time (default 10s)
      -H, --header 'K: V'  adds metadata; may be repeated
      --tls                encrypts, and trusts what this system trusts

  trunkline watch URL
      draws the backends of a program that serves a debug page, such as http://127.0.0.1:8300/debug/backends
      --once               draws them once and ends
      --interval TIME      looks so often (default 1s)

  trunkline explain FILE
      says what a gRPC service config or a GAPIC client config will really do

exit status: 0 if all went well, 1 if the call or the look failed, 2 if what was asked for is wrong`

const fail = (problem: string) => Effect.fail(new UsageError({ problem }))

const spans = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

const readTime = (name: string, text: string): Effect.Effect<Duration.Duration, UsageError> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const millis = match === null ? 0 : Number(match[1]) * spans[match[2] as keyof typeof spans]
  return millis > 0
    ? Effect.succeed(Duration.millis(millis))
    : fail(`${name} must be a time such as 500ms, 2s or 1m, not ${JSON.stringify(text)}`)
}

const readCount = (name: string, text: string): Effect.Effect<number, UsageError> =>
  /^[1-9]\d{0,8}$/.test(text)
    ? Effect.succeed(Number(text))
    : fail(`${name} must be a number, at least 1, not ${JSON.stringify(text)}`)

const readHeaders = Effect.fnUntraced(function* (headers: ReadonlyArray<string>) {
  const entries = new Map<string, Array<string | Uint8Array>>()
  for (const header of headers) {
    const match = /^([^:]+):\s*(.*)$/.exec(header)
    if (match === null) return yield* fail(`--header must be 'name: value', not ${JSON.stringify(header)}`)
    const [, name = "", text = ""] = match
    const value = name.endsWith("-bin") ? Uint8Array.from(Buffer.from(text, "base64")) : text
    entries.set(name, [...(entries.get(name) ?? []), value])
  }
  const read = Metadata.make(Object.fromEntries(entries))
  return Result.isSuccess(read) ? read.success : yield* fail(`--header: ${read.failure.message}`)
})

const readUrl = (text: string): Effect.Effect<URL, UsageError> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === "http:" || url?.protocol === "https:"
    ? Effect.succeed(url)
    : fail(`watch needs the http URL of a debug page, not ${JSON.stringify(text)}`)
}

const options = {
  help: { type: "boolean", short: "h" },
  retry: { type: "string" },
  deadline: { type: "string" },
  header: { type: "string", short: "H", multiple: true },
  tls: { type: "boolean" },
  once: { type: "boolean" },
  interval: { type: "string" }
} as const

/** The options that each command understands. */
const known: Readonly<Record<string, ReadonlyArray<string>>> = {
  call: ["retry", "deadline", "header", "tls"],
  watch: ["once", "interval"],
  explain: []
}

/** How many words each command wants after its name, at least and at most. */
const words: Readonly<Record<string, readonly [least: number, most: number]>> = {
  call: [2, 3],
  watch: [1, 1],
  explain: [1, 1]
}

const split = (args: ReadonlyArray<string>) =>
  Effect.try({
    try: () => parseArgs({ args: [...args], options, allowPositionals: true }),
    catch: (cause) => new UsageError({ problem: cause instanceof Error ? cause.message : "the arguments are wrong" })
  })

/** Reads the arguments after the program's name. */
export const parse = Effect.fnUntraced(function* (args: ReadonlyArray<string>): Effect.fn.Return<Command, UsageError> {
  const { positionals, values } = yield* split(args)
  const [name, ...rest] = positionals
  if (values.help === true || (name === undefined && args.length === 0)) return { _tag: "Help" }
  if (name === undefined) return yield* fail("there is no command")
  const [least, most] = words[name] ?? (yield* fail(`${JSON.stringify(name)} is not a command`))
  const foreign = Object.keys(values).find((option) => !known[name]!.includes(option))
  if (foreign !== undefined) return yield* fail(`--${foreign} says nothing to ${name}`)
  if (rest.length < least) return yield* fail(`${name} needs more: ${least} words after it, not ${rest.length}`)
  if (rest.length > most) return yield* fail(`${name} does not know what to do with ${JSON.stringify(rest[most])}`)
  if (name === "explain") return { _tag: "Explain", file: rest[0]! }
  if (name === "watch") {
    const interval = yield* readTime("--interval", values.interval ?? "1s")
    return { _tag: "Watch", url: yield* readUrl(rest[0]!), once: values.once === true, interval }
  }
  const [target = "", path = "", json = "{}"] = rest
  const [service, method, more] = path.replace(/^\//, "").split("/")
  if (Predicate.isNullish(service) || Predicate.isNullish(method) || more !== undefined || method === "") {
    return yield* fail(`a method is package.Service/Method, not ${JSON.stringify(path)}`)
  }
  return {
    _tag: "Call",
    target,
    service,
    method,
    json,
    attempts: yield* readCount("--retry", values.retry ?? "1"),
    deadline: yield* readTime("--deadline", values.deadline ?? "10s"),
    metadata: yield* readHeaders(values.header ?? []),
    tls: values.tls === true
  }
})
