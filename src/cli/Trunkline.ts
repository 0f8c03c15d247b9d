/**
 * The command line as a whole: its commands, and how it says what went wrong.
 *
 * Errors go to standard error and name what was wrong; help goes where it can be piped. Where a line was not understood, its
 * usage is enough: a page of help would push the error off the screen.
 */
import { Console, Effect } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import * as CallCommand from "./CallCommand.ts"
import * as ExplainCommand from "./ExplainCommand.ts"
import * as Host from "./Host.ts"
import { printable } from "./Terminal.ts"
import { version } from "../call/UserAgent.ts"
import * as WatchCommand from "./WatchCommand.ts"

/** The command line. */
export const command = Command.make("trunkline").pipe(
  Command.withDescription(
    "Calls and watches gRPC backends. Exits with 0 if all went well, 1 if the call or the look failed, 2 if what was asked for is wrong."
  ),
  Command.withSubcommands([CallCommand.command, WatchCommand.command, ExplainCommand.command])
)

/** Line breaks are ours; whatever else somebody put into a message does not reach the terminal. */
const complain = (message: string) => Console.error(`trunkline: ${message.split("\n").map(printable).join("\n")}`)

const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function* () {
          for (const { message } of event.errors) yield* complain(message)
          const path = event.commandPath.join(" ")
          yield* Console.error(`\nusage: ${event.helpDoc.usage}\nmore:  ${path} --help`)
        })
      : CliOutput.defaultPresenter.present(event)
}

/** The errors of somebody else's making; all others are about what was asked for. */
const failures: ReadonlySet<string> = new Set(["RpcError", "NoReflection", "WatchError"])

/** Does what the arguments ask for. Succeeds with the status to exit with. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number> =>
  Command.runWith(command, { version })(args).pipe(
    Effect.as(0),
    Effect.catch((error) =>
      CliError.isCliError(error)
        ? Effect.succeed(error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 2)
        : Effect.as(complain(error.message), failures.has(error._tag) ? 1 : 2)
    ),
    Effect.provideService(CliOutput.Presenter, presenter),
    // No wizard: nothing here asks questions. No level of logs: nothing here writes any.
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    ),
    Effect.provide(Host.layer)
  )
