/** gRPC's own interop programs in Ruby, which are the C core underneath, as Debian's ruby-grpc installs them. */
import { Effect, Schedule } from "effect"
import { spawnSync } from "node:child_process"
import * as net from "node:net"
import type { CaseName } from "./catalogue.ts"
import type { Files } from "./certificates.ts"
import { rubyServer } from "./limits.ts"
import { type Party, serverName } from "./Party.ts"
import * as Program from "./Program.ts"
import * as Results from "./Results.ts"

const install = "apt-get install -y --no-install-recommends ruby-grpc"

/** No client may take longer; five seconds are usual. */
const limit = "60 seconds"

/** Asks for one case after the other as the client's own command line would, without a start for each of them. */
const askAll = `
load ARGV.shift
names = ARGV.shift.split(",")
flags = ARGV.dup
names.each do |name|
  ARGV.replace(flags + ["--test_case", name])
  begin
    main
    puts "ok #{name}"
  rescue StandardError => error
    puts "not ok #{name}: #{error.message.lines.first}"
  end
  $stdout.flush
end
`

/** Where the gem is, if it is. */
const gem = (): string | undefined => {
  const find = 'puts Gem::Specification.find_by_name("grpc").gem_dir'
  const { status, stdout } = spawnSync("ruby", ["-e", find], { encoding: "utf8", timeout: 20_000 })
  return status === 0 ? `${stdout.trim()}/src/ruby` : undefined
}

const freePort = Effect.callback<number>((resume) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const connects = (port: number) =>
  Effect.callback<void, "refused">((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    socket.once("error", () => resume(Effect.fail("refused")))
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    return Effect.sync(() => void socket.destroy())
  })

/** The server does not say when it listens, so it is tried. */
const listening = (program: Program.Program, port: number) =>
  Effect.retry(connects(port), Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(300)])).pipe(
    Effect.mapError(() => new Program.ProgramError({ program: program.name, problem: `is silent: ${program.said()}` }))
  )

const cases: ReadonlySet<CaseName> = new Set<CaseName>([
  "empty_unary",
  "large_unary",
  "client_compressed_unary",
  "client_streaming",
  "client_compressed_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "unimplemented_method",
  "unimplemented_service",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server"
])

export const make = (all: ReadonlyArray<CaseName>): Party => {
  const folder = gem()
  const data = `${folder}/spec/testdata`
  const files: Files = { keyFile: `${data}/server1.key`, certFile: `${data}/server1.pem`, caFile: `${data}/ca.pem` }

  return {
    name: "ruby",
    missing: folder === undefined ? install : undefined,
    certificates: files,
    notAsked: Object.fromEntries(all.filter((name) => !cases.has(name)).map((name) => [name, "ruby client"])),
    notServed: rubyServer,
    serve: Effect.fnUntraced(function* (tls) {
      const port = yield* freePort
      const args = ["--port", String(port), ...(tls === undefined ? [] : ["--use_tls", "true"])]
      const program = yield* Program.start("ruby", [`${folder}/pb/test/server.rb`, ...args])
      yield* listening(program, port)
      return { ports: [port], tls }
    }),
    ask: Effect.fnUntraced(function* (names, { ports, tls }) {
      const security = ["--use_tls", "true", "--use_test_ca", "true", "--server_host_override", serverName]
      const where = ["--server_host", "127.0.0.1", "--server_port", String(ports[0])]
      const args = ["-e", askAll, `${folder}/pb/test/client.rb`, names.join(","), ...where]
      const { said } = yield* Program.run("ruby", [...args, ...(tls === undefined ? [] : security)], limit)
      return Results.read(names, said)
    })
  }
}
