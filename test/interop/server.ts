/**
 * The interop server.
 *
 *   npm run -s interop:server -- --port P [--use_tls true [--tls_cert_file C --tls_key_file K]] [--adapter grpcjs] [--scaling_port P]
 *
 * `--port 0` is any free port; several ports are several servers. The server on the scaling port, named first, takes two
 * calls on a connection. Says where it listens, one line each server, and serves
 * until it is told to end.
 */
import { Cause, Console, Context, Effect, Exit, Fiber, type Scope } from "effect"
import { Handlers, type Server, ServerLoad } from "trunkline"
import { GrpcJsServer } from "trunkline/grpc-js"
import { Http2Server } from "trunkline/http2"
import { ofServer } from "./certificates.ts"
import { FlagError, serverFlags } from "./flags.ts"
import { handlers } from "./TestService.ts"
import { maxMessageBytes } from "./vectors.ts"

/** Options that every adapter understands. */
interface Options extends GrpcJsServer.Options<never> {}

type Serve = (
  options: Options
) => Effect.Effect<Server.Server["Service"], Server.BindError | Server.MethodCollision, Scope.Scope>

/** The wires there are, by the name `--adapter` gives them. */
const adapters: Readonly<Record<string, Serve>> = {
  http2: (options) => Http2Server.make(options),
  grpcjs: (options) => GrpcJsServer.make(options)
}

const adapterOf = (name: string): Serve => {
  const serve = adapters[name]
  if (serve === undefined) throw new FlagError(`no adapter ${name}; there are ${Object.keys(adapters).join(", ")}`)
  return serve
}

/** As the official server has it. */
const minReportInterval = "100 millis"

const program = Effect.gen(function* () {
  const flags = serverFlags(process.argv.slice(2))
  const serve = adapterOf(flags.adapter)
  const tls = flags.useTls ? yield* Effect.promise(() => ofServer(flags.certFile, flags.keyFile)) : undefined
  const few = flags.scalingPort === undefined ? [] : [{ port: flags.scalingPort, maxConcurrentCalls: 2 }]
  for (const [index, where] of [...few, ...flags.ports.map((port) => ({ port }))].entries()) {
    const load = yield* ServerLoad.make()
    const reports = ServerLoad.handlers({ minInterval: minReportInterval })
    const server = yield* serve({
      handlers: [
        handlers(`trunkline ${process.pid}.${index}`, load),
        Handlers.provideContext(reports, Context.make(ServerLoad.ServerLoad, load))
      ],
      ...where,
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
