/**
 * `trunkline explain`: what a file of policies will really do.
 */
import { readFile } from "node:fs/promises"
import { Console, Data, Effect, Predicate } from "effect"
import { Argument, Command } from "effect/cli"
import * as GapicConfig from "../google/GapicConfig.ts"
import * as ServiceConfig from "../policy/ServiceConfig.ts"
import { parseJson } from "./CallCommand.ts"

/** A file that is not what it should be. */
export class FileError extends Data.TaggedError("FileError")<{ readonly file: string; readonly problem: string }> {
  override get message(): string {
    return `${this.file}: ${this.problem}`
  }
}

/** What there is at the top of a file of policies. Any JSON is a service config of which nothing is used. */
const contents = ["methodConfig", "retryThrottling", "loadBalancingConfig", "interfaces"]

/** Reads the file and says what it does. */
const run = ({ file }: { readonly file: string }) =>
  Effect.gen(function* () {
    const failed = (cause: { readonly message: string }) => new FileError({ file, problem: cause.message })
    const text = yield* Effect.tryPromise({
      try: () => readFile(file, "utf8"),
      catch: (cause) => new FileError({ file, problem: cause instanceof Error ? cause.message : "cannot be read" })
    })
    const json = yield* Effect.mapError(parseJson("it", text), failed)
    if (!contents.some((name) => Predicate.hasProperty(json, name))) {
      return yield* failed({ message: `it is no file of policies: it has none of ${contents.join(", ")}` })
    }
    const said = Predicate.hasProperty(json, "interfaces")
      ? Effect.map(Effect.fromResult(GapicConfig.make(json)), GapicConfig.explain)
      : Effect.map(Effect.fromResult(ServiceConfig.make(json)), ServiceConfig.explain)
    yield* Console.log(yield* Effect.mapError(said, failed))
  })

/** The command. */
export const command = Command.make(
  "explain",
  { file: Argument.String("file").pipe(Argument.withDescription("A gRPC service config or a GAPIC client config")) },
  run
).pipe(
  Command.withDescription("Says what a file of policies will really do"),
  Command.withExamples([{ command: "trunkline explain service-config.json" }])
)
