/** The interop server on grpc-js's own server, with the command line of `server.ts`: what ours is compared with. */
import * as grpc from "@grpc/grpc-js"
import { setTimeout } from "node:timers/promises"
import {
  type EchoStatus,
  type SimpleRequest,
  type SimpleResponse,
  type StreamingInputCallRequest,
  type StreamingOutputCallRequest,
  type TestOrcaReport,
  TestService
} from "../gen/interop_pb.ts"
import { ofServer } from "./certificates.ts"
import { serverFlags } from "./flags.ts"
import { serviceDefinition } from "./grpcjs-methods.ts"
import { echo, maxMessageBytes, zeros } from "./vectors.ts"

type Streaming = grpc.ServerWritableStream<StreamingOutputCallRequest, unknown>
type Duplex = grpc.ServerDuplexStream<StreamingOutputCallRequest, unknown>

const one = (metadata: grpc.Metadata, key: string): grpc.Metadata => {
  const out = new grpc.Metadata()
  for (const value of metadata.get(key)) out.add(key, value)
  return out
}

const headersOf = ({ metadata }: { readonly metadata: grpc.Metadata }) => one(metadata, echo.initialKey)
const trailersOf = ({ metadata }: { readonly metadata: grpc.Metadata }) => one(metadata, echo.trailingKey)

/** What the request wants the call to end with, if that is not OK. */
const failure = (status: EchoStatus | undefined, metadata: grpc.Metadata) =>
  status === undefined || status.code === 0 ? undefined : { code: status.code, details: status.message, metadata }

/** What the request wants this call to report. */
const report = (call: grpc.ServerUnaryCall<SimpleRequest, unknown>, said: TestOrcaReport): void => {
  const recorder = call.getMetricsRecorder()
  recorder.recordCPUUtilizationMetric(said.cpuUtilization)
  recorder.recordMemoryUtilizationMetric(said.memoryUtilization)
  for (const [name, cost] of Object.entries(said.requestCost)) recorder.recordRequestCostMetric(name, cost)
  for (const [name, share] of Object.entries(said.utilization)) recorder.recordUtilizationMetric(name, share)
}

const unaryCall =
  (serverId: string): grpc.handleUnaryCall<SimpleRequest, unknown> =>
  (call, callback) => {
    const { fillServerId, orcaPerQueryReport, responseSize, responseStatus } = call.request
    call.sendMetadata(headersOf(call))
    if (orcaPerQueryReport !== undefined) report(call, orcaPerQueryReport)
    const failed = failure(responseStatus, trailersOf(call))
    if (failed !== undefined) return callback(failed)
    const response: Partial<SimpleResponse> = { serverId: fillServerId ? serverId : "" }
    return callback(null, { ...response, payload: zeros(responseSize) }, trailersOf(call))
  }

/** Writes the responses a request asks for; false if it asked for a failure instead. */
const respond = async (
  call: Pick<Duplex, "emit" | "metadata" | "write">,
  request: StreamingOutputCallRequest
): Promise<boolean> => {
  const failed = failure(request.responseStatus, trailersOf(call))
  if (failed !== undefined) {
    call.emit("error", failed)
    return false
  }
  for (const { intervalUs, size } of request.responseParameters) {
    if (intervalUs > 0) await setTimeout(intervalUs / 1000)
    call.write({ payload: zeros(size) })
  }
  return true
}

const streamingOutputCall = async (call: Streaming): Promise<void> => {
  if (await respond(call, call.request)) call.end()
}

const streamingInputCall: grpc.handleClientStreamingCall<StreamingInputCallRequest, unknown> = (call, callback) => {
  let aggregatedPayloadSize = 0
  call.on("data", ({ payload }: StreamingInputCallRequest) => (aggregatedPayloadSize += payload?.body.length ?? 0))
  call.on("end", () => callback(null, { aggregatedPayloadSize }))
  // A client that leaves takes its call with it.
  call.on("error", () => {})
}

/** Answers each request when the one before it is answered. */
const fullDuplexCall = (call: Duplex): void => {
  let answered = Promise.resolve(true)
  call.sendMetadata(headersOf(call))
  call.on("data", (request: StreamingOutputCallRequest) => {
    answered = answered.then((going) => going && respond(call, request))
  })
  call.on("end", () => void answered.then((going) => going && call.end(trailersOf(call))))
}

/** Answers when every request has come. */
const halfDuplexCall = (call: Duplex): void => {
  const requests: Array<StreamingOutputCallRequest> = []
  call.on("data", (request: StreamingOutputCallRequest) => requests.push(request))
  call.on("end", async () => {
    for (const request of requests) if (!(await respond(call, request))) return
    call.end(trailersOf(call))
  })
}

const serve = async (port: number, serverId: string, credentials: grpc.ServerCredentials): Promise<void> => {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.server_call_metric_recording": 1
  })
  server.addService(serviceDefinition(TestService.methods), {
    emptyCall: ((_, callback) => callback(null, {})) satisfies grpc.handleUnaryCall<unknown, unknown>,
    unaryCall: unaryCall(serverId),
    cacheableUnaryCall: unaryCall(serverId),
    streamingOutputCall,
    streamingInputCall,
    fullDuplexCall,
    halfDuplexCall
  } as unknown as grpc.UntypedServiceImplementation)
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error)
    )
  )
  process.stdout.write(`listening on 127.0.0.1:${bound}\n`)
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => server.forceShutdown())
}

const flags = serverFlags(process.argv.slice(2))
const credentialsOf = async (): Promise<grpc.ServerCredentials> => {
  if (!flags.useTls) return grpc.ServerCredentials.createInsecure()
  const { cert, key } = await ofServer(flags.certFile, flags.keyFile)
  return grpc.ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }])
}
const credentials = await credentialsOf()
const ports = flags.scalingPort === undefined ? flags.ports : [flags.scalingPort, ...flags.ports]
for (const [index, port] of ports.entries()) await serve(port, `grpc-js ${process.pid}.${index}`, credentials)
