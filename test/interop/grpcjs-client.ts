/** The interop client on grpc-js's own client, with the command line of `client.ts`: what ours is compared with. */
import * as grpc from "@grpc/grpc-js"
import { testCa } from "./certificates.ts"
import type { CaseName } from "./catalogue.ts"
import { type ClientFlags, clientFlags, FlagError } from "./flags.ts"
import { type GrpcJsCase, grpcJsCases, type GrpcJsPeer } from "./grpcjs-cases.ts"

/** No case may take longer. */
const limitMillis = 30_000

const connect = ({ caFile, host, hostOverride, ports, useTestCa, useTls }: ClientFlags): grpc.Client => {
  const target = `ipv4:${ports.map((port) => `${host}:${port}`).join(",")}`
  const credentials = useTls
    ? grpc.credentials.createSsl(useTestCa ? testCa(caFile) : null)
    : grpc.credentials.createInsecure()
  return new grpc.Client(target, credentials, {
    "grpc.use_local_subchannel_pool": 1,
    ...(hostOverride === undefined
      ? undefined
      : { "grpc.ssl_target_name_override": hostOverride, "grpc.default_authority": hostOverride })
  })
}

const outOfTime = (): Promise<never> =>
  new Promise((_, reject) => void setTimeout(reject, limitMillis, new Error("out of time")).unref())

const isCase = (name: CaseName): name is GrpcJsCase => name in grpcJsCases

const caseOf = (name: CaseName): GrpcJsCase => {
  if (!isCase(name)) throw new FlagError(`grpc-js does not have ${name}`)
  return name
}

const attempt = async (name: GrpcJsCase, peer: GrpcJsPeer): Promise<boolean> => {
  const problem = await Promise.race([grpcJsCases[name](peer), outOfTime()]).then(
    () => undefined,
    (error: Error) => error.message
  )
  process.stdout.write(problem === undefined ? `ok ${name}\n` : `not ok ${name}: ${problem.replaceAll("\n", " ")}\n`)
  return problem === undefined
}

const flags = clientFlags(process.argv.slice(2))
const peer: GrpcJsPeer = {
  client: connect(flags),
  another: () => connect(flags),
  concurrentCalls: flags.concurrentCalls,
  soak: flags.soak
}
let held = true
for (const name of flags.cases.map(caseOf)) held = (await attempt(name, peer)) && held
// A session of grpc-js that has seen a call cancelled at once never ends by itself, whoever the server is.
process.exit(held ? 0 : 1)
