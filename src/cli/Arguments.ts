/**
 * What the words of a command line stand for.
 *
 * effect's `cli` takes a line apart and says what is missing or too much; here its words become values, or errors that say
 * what was expected.
 */
import { Duration, Effect, Result } from "effect"
import { Argument, CliError, Flag } from "effect/cli"
import * as Metadata from "../call/Metadata.ts"

const refuse = (kind: "flag" | "argument", option: string, value: string, expected: string) =>
  Effect.fail(new CliError.InvalidValue({ kind, option, value, expected }))

const spans = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** A time above 0, such as `1.5s`. */
export const time = (name: string): Flag.Flag<Duration.Duration> =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.mapEffect((text) => {
      const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
      const millis = Number(number ?? 0) * spans[(unit ?? "ms") as keyof typeof spans]
      return millis > 0
        ? Effect.succeed(Duration.millis(millis))
        : refuse("flag", name, text, "a time such as 500ms, 2s or 1m")
    })
  )

/** A count of at least 1. */
export const count = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.withMetavar("N"),
    Flag.mapEffect((text) =>
      /^[1-9]\d{0,8}$/.test(text) ? Effect.succeed(Number(text)) : refuse("flag", name, text, "a number, at least 1")
    )
  )

/** Metadata from lines such as `name: value`; what a key with `-bin` has is base64. */
export const headers = (name: string): Flag.Flag<Metadata.Metadata> =>
  Flag.String(name).pipe(
    Flag.withMetavar("'NAME: VALUE'"),
    Flag.atLeast(0),
    Flag.mapEffect((lines) => {
      const entries = new Map<string, Array<string | Uint8Array>>()
      for (const line of lines) {
        const [, key, text] = /^([^:]+):\s*(.*)$/.exec(line) ?? []
        if (key === undefined || text === undefined) return refuse("flag", name, line, "'name: value'")
        const value = key.endsWith("-bin") ? Uint8Array.from(Buffer.from(text, "base64")) : text
        entries.set(key, [...(entries.get(key) ?? []), value])
      }
      const read = Metadata.make(Object.fromEntries(entries))
      return Result.isSuccess(read)
        ? Effect.succeed(read.success)
        : refuse("flag", name, lines.join(", "), `what may be sent; ${read.failure.message}`)
    })
  )

/** A method as it is called. */
export interface Method {
  readonly service: string
  readonly name: string
}

/** A method by its path, `package.Service/Method`. */
export const method = (name: string): Argument.Argument<Method> =>
  Argument.String(name).pipe(
    Argument.mapEffect((path) => {
      const [service = "", method = "", ...more] = path.replace(/^\//, "").split("/")
      return service === "" || method === "" || more.length > 0
        ? refuse("argument", name, path, "package.Service/Method")
        : Effect.succeed({ service, name: method })
    })
  )

/** Where a page is on the web. */
export const httpUrl = (name: string): Argument.Argument<URL> =>
  Argument.String(name).pipe(
    Argument.mapEffect((text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined
      return url?.protocol === "http:" || url?.protocol === "https:"
        ? Effect.succeed(url)
        : refuse("argument", name, text, "the http URL of a debug page")
    })
  )
