/**
 * The interop client.
 *
 *   npm run -s interop:client -- --server_host H --server_port P --test_case NAME
 *     [--use_tls true --use_test_ca true --server_host_override N [--ca_file F]] [--connector grpcjs]
 *
 * Says `ok` or `not ok` of each case it was asked for, and why not; exits with 0 when all hold.
 */
import { Cause, Console, Effect, Exit } from "effect"
import { cases } from "./cases.ts"
import type { CaseName } from "./catalogue.ts"
import { clientFlags } from "./flags.ts"
import * as Peer from "./Peer.ts"

/** No case may take longer. */
const limit = "30 seconds"

const attempt = (name: CaseName, peer: Peer.Peer) =>
  Effect.matchEffect(Effect.timeout(cases[name](peer), limit), {
    onFailure: (error) => Effect.as(Console.log(`not ok ${name}: ${error.message}`), false),
    onSuccess: () => Effect.as(Console.log(`ok ${name}`), true)
  })

const program = Effect.gen(function* () {
  const flags = clientFlags(process.argv.slice(2))
  const peer = yield* Peer.make(flags)
  const held = yield* Effect.forEach(flags.cases, (name) => attempt(name, peer))
  return held.every((ok) => ok)
}).pipe(Effect.scoped)

Effect.runFork(program).addObserver((exit) => {
  if (Exit.isFailure(exit)) process.stderr.write(`${Cause.squash(exit.cause)}\n`)
  process.exitCode = Exit.isSuccess(exit) && exit.value ? 0 : 1
})
