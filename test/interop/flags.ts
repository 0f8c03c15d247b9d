/** The command lines of the official interop programs. */
import { parseArgs } from "node:util"
import { type CaseName, caseNames } from "./catalogue.ts"
import type { Soak } from "./Soak.ts"
import { large } from "./vectors.ts"

/** A command line that asks for something there is not. */
export class FlagError extends Error {}

const isTrue = (value: string): boolean => value === "true"

const numberOf = (flag: string, text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new FlagError(`--${flag} wants a whole number, not ${text}`)
  return value
}

/** Several ports are several servers with the same host. */
const portsOf = (flag: string, text: string): ReadonlyArray<number> =>
  text.split(",").map((port) => numberOf(flag, port))

const casesOf = (text: string): ReadonlyArray<CaseName> => {
  const known: ReadonlySet<string> = new Set(caseNames)
  const names = text.split(",")
  const unknown = names.find((name) => !known.has(name))
  if (unknown !== undefined) throw new FlagError(`no case ${unknown}; there are ${caseNames.join(", ")}`)
  return names as ReadonlyArray<CaseName>
}

export interface ServerFlags {
  readonly ports: ReadonlyArray<number>
  readonly useTls: boolean
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  readonly adapter: string
  /** Where a server listens that takes few calls on a connection. */
  readonly scalingPort: number | undefined
}

/** The flags of a server. The files are grpc-go's; without them a certificate is made. `--adapter` and `--scaling_port` are ours. */
export const serverFlags = (args: ReadonlyArray<string>): ServerFlags => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: "string", default: "8080" },
      use_tls: { type: "string", default: "false" },
      tls_cert_file: { type: "string" },
      tls_key_file: { type: "string" },
      adapter: { type: "string", default: "http2" },
      scaling_port: { type: "string" }
    }
  })
  return {
    ports: portsOf("port", values.port),
    useTls: isTrue(values.use_tls),
    certFile: values.tls_cert_file,
    keyFile: values.tls_key_file,
    adapter: values.adapter,
    scalingPort: values.scaling_port === undefined ? undefined : numberOf("scaling_port", values.scaling_port)
  }
}

export interface ClientFlags {
  readonly host: string
  readonly ports: ReadonlyArray<number>
  readonly cases: ReadonlyArray<CaseName>
  readonly useTls: boolean
  readonly useTestCa: boolean
  readonly caFile: string | undefined
  readonly hostOverride: string | undefined
  readonly connector: string
  readonly concurrentCalls: number
  readonly reportIntervalMillis: number
  /** Where a server listens that takes few calls on a connection; without it, the server itself does. */
  readonly scalingPort: number | undefined
  readonly soak: Soak
}

/** The flags of a client. `--test_case` may be a list; from `--connector` to `--scaling_port` they are ours. */
export const clientFlags = (args: ReadonlyArray<string>): ClientFlags => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      server_host: { type: "string", default: "127.0.0.1" },
      server_port: { type: "string", default: "8080" },
      server_host_override: { type: "string" },
      test_case: { type: "string", default: "large_unary" },
      use_tls: { type: "string", default: "false" },
      use_test_ca: { type: "string", default: "false" },
      ca_file: { type: "string" },
      connector: { type: "string", default: "http2" },
      concurrent_calls: { type: "string", default: "1000" },
      report_interval_ms: { type: "string", default: "1000" },
      scaling_port: { type: "string" },
      soak_iterations: { type: "string", default: "10" },
      soak_num_threads: { type: "string", default: "1" },
      soak_max_failures: { type: "string", default: "0" },
      soak_per_iteration_max_acceptable_latency_ms: { type: "string", default: "1000" },
      soak_overall_timeout_seconds: { type: "string", default: "10" },
      soak_min_time_ms_between_rpcs: { type: "string", default: "0" },
      soak_request_size: { type: "string", default: String(large.request) },
      soak_response_size: { type: "string", default: String(large.response) }
    }
  })
  const number = (flag: keyof typeof values): number => numberOf(flag, values[flag]!)
  return {
    host: values.server_host,
    ports: portsOf("server_port", values.server_port),
    cases: casesOf(values.test_case),
    useTls: isTrue(values.use_tls),
    useTestCa: isTrue(values.use_test_ca),
    caFile: values.ca_file,
    hostOverride: values.server_host_override,
    connector: values.connector,
    concurrentCalls: number("concurrent_calls"),
    reportIntervalMillis: number("report_interval_ms"),
    scalingPort: values.scaling_port === undefined ? undefined : number("scaling_port"),
    soak: {
      iterations: number("soak_iterations"),
      threads: Math.max(1, number("soak_num_threads")),
      maxFailures: number("soak_max_failures"),
      maxLatencyMillis: number("soak_per_iteration_max_acceptable_latency_ms"),
      overallTimeoutMillis: number("soak_overall_timeout_seconds") * 1000,
      minMillisBetweenCalls: number("soak_min_time_ms_between_rpcs"),
      requestSize: number("soak_request_size"),
      responseSize: number("soak_response_size")
    }
  }
}
