/** The interop service, served by the library. */
import { Effect, Stream } from "effect"
import { Code, Handlers, Metadata, RpcError, Service, type ServerCall } from "trunkline"
import {
  type EchoStatus,
  type SimpleRequest,
  type StreamingInputCallRequest,
  type StreamingOutputCallRequest,
  TestService
} from "../gen/interop_pb.ts"
import { echo, zeros } from "./vectors.ts"

/** The service as a server has it: nobody serves `UnimplementedCall`, so that asking for it is asking for nothing. */
const served = () => {
  const { methods, ...service } = Service.from(TestService)
  const { unimplementedCall: _, ...implemented } = methods
  return { ...service, methods: implemented }
}

const echoMetadata = Effect.fnUntraced(function* (call: ServerCall.ServerCall) {
  const initial = Metadata.getAll(call.metadata, echo.initialKey)
  const trailing = Metadata.getAll(call.metadata, echo.trailingKey)
  if (initial.length > 0) yield* call.setHeaders({ [echo.initialKey]: initial })
  if (trailing.length > 0) yield* call.setTrailers({ [echo.trailingKey]: trailing })
})

const echoStatus = (status: EchoStatus | undefined): Effect.Effect<void, RpcError.RpcError> => {
  const code = Code.fromNumber(status?.code ?? 0)
  return code === "OK" ? Effect.void : Effect.fail(RpcError.make(code, status!.message))
}

const unaryCall = (serverId: string) =>
  Effect.fnUntraced(function* (request: SimpleRequest, call: ServerCall.ServerCall) {
    yield* echoMetadata(call)
    yield* echoStatus(request.responseStatus)
    return { payload: zeros(request.responseSize), serverId: request.fillServerId ? serverId : "" }
  })

/** The responses one request asks for. */
const respond = (request: StreamingOutputCallRequest) =>
  Stream.fromEffectDrain(echoStatus(request.responseStatus)).pipe(
    Stream.concat(Stream.fromIterable(request.responseParameters)),
    Stream.tap(({ intervalUs }) => (intervalUs > 0 ? Effect.sleep(intervalUs / 1000) : Effect.void)),
    Stream.map(({ size }) => ({ payload: zeros(size) }))
  )

const sumOfSizes = (requests: Stream.Stream<StreamingInputCallRequest, RpcError.RpcError>) =>
  Stream.runFold(
    requests,
    () => 0,
    (sum, { payload }) => sum + (payload?.body.length ?? 0)
  )

/** Serves the interop service under a name, which tells one server from another. */
export const handlers = (serverId: string): Handlers.Handlers =>
  Handlers.make(served(), {
    emptyCall: () => Effect.succeed({}),
    unaryCall: unaryCall(serverId),
    cacheableUnaryCall: unaryCall(serverId),
    streamingOutputCall: respond,
    streamingInputCall: (requests) =>
      Effect.map(sumOfSizes(requests), (aggregatedPayloadSize) => ({ aggregatedPayloadSize })),
    fullDuplexCall: (requests, call) =>
      Stream.concat(Stream.fromEffectDrain(echoMetadata(call)), Stream.flatMap(requests, respond)),
    halfDuplexCall: (requests) =>
      Stream.unwrap(Effect.map(Stream.runCollect(requests), (all) => Stream.flatMap(Stream.fromIterable(all), respond)))
  })
