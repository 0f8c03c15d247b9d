/** A party whose client and server are programs beside this one. */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { type Party, serverName } from "./Party.ts"
import * as Program from "./Program.ts"
import * as Results from "./Results.ts"

/** Enough for a slow machine; the sixteenth of it is usual. */
const limit = "60 seconds"

/** The official number of concurrent large calls, a thousand, takes this machine's two cores ten seconds each time. */
const concurrentCalls = 100

/** The official client asks for a load report every second, and hears of three. */
const reportIntervalMillis = 100

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** A program, and the flags it always has. */
type Command = readonly [program: string, ...flags: ReadonlyArray<string>]

const argsOf = ([program, ...flags]: Command): ReadonlyArray<string> => [file(program), ...flags]

export const make = (
  name: string,
  programs: { readonly client: Command; readonly server: Command },
  limits: Partial<Pick<Party, "notAsked" | "notServed">> = {}
): Party => ({
  name,
  missing: undefined,
  certificates: undefined,
  notAsked: {},
  notServed: {},
  ...limits,
  serve: Effect.fnUntraced(function* (tls) {
    const security = tls === undefined ? [] : ["--use_tls", "true", "--tls_cert_file", tls.certFile]
    const key = tls === undefined ? [] : ["--tls_key_file", tls.keyFile]
    const args = [...argsOf(programs.server), "--port", "0,0", "--scaling_port", "0", ...security, ...key]
    const server = yield* Program.start(process.execPath, args)
    const found = yield* Program.saying(server, /^listening on .*:(\d+)$/gm, 3)
    const [scalingPort, ...ports] = found.map(([, port]) => Number(port))
    return { ports, scalingPort, tls }
  }),
  ask: Effect.fnUntraced(function* (cases, { ports, scalingPort, tls }) {
    const security = tls === undefined ? [] : ["--use_tls", "true", "--use_test_ca", "true", "--ca_file", tls.caFile]
    const { said } = yield* Program.run(
      process.execPath,
      [
        ...argsOf(programs.client),
        ...["--server_port", ports.join(","), "--test_case", cases.join(",")],
        ...["--concurrent_calls", String(concurrentCalls)],
        ...["--report_interval_ms", String(reportIntervalMillis)],
        ...(scalingPort === undefined ? [] : ["--scaling_port", String(scalingPort)]),
        ...(tls === undefined ? [] : [...security, "--server_host_override", serverName])
      ],
      limit
    )
    return Results.read(cases, said)
  })
})
