/** What the demo is asked to do. */
import { Data, Effect, Result } from "effect"
import { parseArgs } from "node:util"
import { Endpoint } from "trunkline"

export const usage = `npm run demo -- [--target host:port[,host:port...]] [--seconds N] [--rate N]

Calls backends through a balanced, retrying client and shows what happens.

  without --target   starts three backends on this machine, then kills and
                     restarts one of them, and freezes and thaws another
  --target LIST      sends the same load to your own backends, in plain text and
                     without faults: grpc.health.v1.Health/Check, or reflection's
                     list_services if they have no health service
  --seconds N        how long, 1 to 300 (with its own backends 10 to 300); 20
  --rate N           calls a second, 1 to 5000; 400

Exits with 0 if no call failed, 1 if one did, 2 if it cannot be done at all.`

export class UsageError extends Data.TaggedError("UsageError")<{ readonly problem: string }> {
  override get message(): string {
    return `${this.problem} (--help says more)`
  }
}

export interface Arguments {
  readonly help: boolean
  /** Somebody's own backends; none for the demo's. */
  readonly targets: ReadonlyArray<Endpoint.Endpoint>
  readonly seconds: number
  readonly rate: number
}

const whole = (name: string, text: string, min: number, max: number) => {
  const number = Number(text)
  return /^\d+$/.test(text) && number >= min && number <= max
    ? Effect.succeed(number)
    : Effect.fail(
        new UsageError({ problem: `--${name} is a whole number from ${min} to ${max}, not ${JSON.stringify(text)}` })
      )
}

export const parse = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>
): Effect.fn.Return<Arguments, UsageError | Endpoint.AddressError> {
  const { values } = yield* Effect.try({
    try: () =>
      parseArgs({
        args: [...args],
        options: {
          help: { type: "boolean", default: false },
          target: { type: "string" },
          seconds: { type: "string", default: "20" },
          rate: { type: "string", default: "400" }
        }
      }),
    catch: (error) => new UsageError({ problem: (error as Error).message.split(". ")[0]! })
  })
  const addresses = values.target?.split(",").map((address) => address.trim()) ?? []
  return {
    help: values.help,
    targets: yield* Effect.fromResult(Result.all(addresses.map((address) => Endpoint.parse(address)))),
    seconds: yield* whole("seconds", values.seconds, addresses.length === 0 ? 10 : 1, 300),
    rate: yield* whole("rate", values.rate, 1, 5000)
  }
})
