/**
 * The interop server.
 *
 *   npm run -s interop:server -- --port P [--use_tls true [--tls_cert_file C --tls_key_file K]]
 *
 * `--port 0` is any free port; several ports are several servers. Says where it listens, one line each server, and serves
 * until it is told to end.
 */
import { Cause, Console, Effect, Exit, Fiber } from "effect"
import { GrpcJsServer } from "trunkline"
import { ofServer } from "./certificates.ts"
import { serverFlags } from "./flags.ts"
import { handlers } from "./TestService.ts"
import { maxMessageBytes } from "./vectors.ts"

const program = Effect.gen(function* () {
  const flags = serverFlags(process.argv.slice(2))
  const tls = flags.useTls ? yield* Effect.promise(() => ofServer(flags.certFile, flags.keyFile)) : undefined
  for (const [index, port] of flags.ports.entries()) {
    const server = yield* GrpcJsServer.make({
      handlers: [handlers(`trunkline ${process.pid}.${index}`)],
      port,
      tls,
      maxReceiveMessageBytes: maxMessageBytes,
      drainTimeout: "1 second"
    })
    yield* Console.log(`listening on ${server.address}`)
  }
  return yield* Effect.never
}).pipe(Effect.scoped)

const fiber = Effect.runFork(program)
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => Effect.runFork(Fiber.interrupt(fiber)))
}
fiber.addObserver((exit) => {
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
    process.stderr.write(`${Cause.squash(exit.cause)}\n`)
    process.exitCode = 1
  }
})
