/** The interop service, served by the library. */
import { Effect, Scope, Semaphore, Stream } from "effect"
import {
  Code,
  Compression,
  Handlers,
  LoadReport,
  Metadata,
  RpcError,
  type ServerCall,
  type ServerLoad,
  Service
} from "trunkline"
import {
  type BoolValue,
  type EchoStatus,
  type SimpleRequest,
  type StreamingInputCallRequest,
  type StreamingOutputCallRequest,
  type TestOrcaReport,
  TestService
} from "../gen/interop_pb.ts"
import { inputOf } from "./load.ts"
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

/** Fails if a request did not come as its client says that it sent it. */
const cameAsSaid = (request: { readonly expectCompressed?: BoolValue | undefined }) => {
  const came = Compression.arrivedCompressed(request)
  return (request.expectCompressed?.value ?? came) === came
    ? Effect.void
    : Effect.fail(RpcError.make("INVALID_ARGUMENT", `the request came ${came ? "compressed" : "uncompressed"}`))
}

/** A response that is compressed only if that was asked for. */
const response = <A extends object>(message: A, compressed: BoolValue | undefined): A =>
  compressed?.value === true ? message : Compression.uncompressed(message)

const unaryCall = (serverId: string) =>
  Effect.fnUntraced(function* (request: SimpleRequest, call: ServerCall.ServerCall) {
    yield* echoMetadata(call)
    yield* cameAsSaid(request)
    yield* echoStatus(request.responseStatus)
    if (request.orcaPerQueryReport !== undefined) yield* LoadReport.record(call, inputOf(request.orcaPerQueryReport))
    if (request.responseCompressed !== undefined) yield* call.setCompression("gzip")
    const payload = zeros(request.responseSize)
    return response({ payload, serverId: request.fillServerId ? serverId : "" }, request.responseCompressed)
  })

/** The responses one request asks for. */
const respond = (request: StreamingOutputCallRequest, call: ServerCall.ServerCall) =>
  Stream.fromEffectDrain(echoStatus(request.responseStatus)).pipe(
    Stream.concat(Stream.fromIterable(request.responseParameters)),
    Stream.tap(({ intervalUs }) => (intervalUs > 0 ? Effect.sleep(intervalUs / 1000) : Effect.void)),
    Stream.map(({ compressed, fillPeerSocketAddress, size }) => {
      const peerSocketAddress = fillPeerSocketAddress?.value === true ? call.remote : ""
      return response({ payload: zeros(size), peerSocketAddress }, compressed)
    })
  )

const streamingOutputCall = (request: StreamingOutputCallRequest, call: ServerCall.ServerCall) => {
  const isAsked = request.responseParameters.some(({ compressed }) => compressed !== undefined)
  const prepared = isAsked ? call.setCompression("gzip") : Effect.void
  return Stream.concat(Stream.fromEffectDrain(prepared), respond(request, call))
}

const sumOfSizes = (requests: Stream.Stream<StreamingInputCallRequest, RpcError.RpcError>) =>
  Stream.runFold(
    Stream.tap(requests, cameAsSaid),
    () => 0,
    (sum, { payload }) => sum + (payload?.body.length ?? 0)
  )

type Load = ServerLoad.ServerLoad["Service"]

/** Lets one call at a time say how loaded the server is, from its first word about it to its end. */
const sayingLoad = (load: Load, turn: Semaphore.Semaphore) =>
  Effect.map(Effect.scope, (scope) => {
    const begin = Effect.andThen(
      turn.takeScoped(1),
      Effect.sync(() => (isMine = true))
    )
    let isMine = false
    return (report: TestOrcaReport | undefined): Effect.Effect<void, RpcError.RpcError> => {
      if (report === undefined) return Effect.void
      const { requestCost: _, ...input } = inputOf(report)
      return Effect.suspend(() => (isMine ? Effect.void : Effect.provideService(begin, Scope.Scope, scope))).pipe(
        Effect.andThen(load.replace(input)),
        Effect.mapError((error) => RpcError.make("INVALID_ARGUMENT", error.message))
      )
    }
  })

/** Serves the interop service under a name, which tells one server from another. */
export const handlers = (serverId: string, load: Load): Handlers.Handlers => {
  const turn = Semaphore.makeUnsafe(1)
  return Handlers.make(served(), {
    emptyCall: () => Effect.succeed({}),
    unaryCall: unaryCall(serverId),
    cacheableUnaryCall: unaryCall(serverId),
    streamingOutputCall,
    streamingInputCall: (requests) =>
      Effect.map(sumOfSizes(requests), (aggregatedPayloadSize) => ({ aggregatedPayloadSize })),
    fullDuplexCall: (requests, call) =>
      Stream.unwrap(
        Effect.map(sayingLoad(load, turn), (say) =>
          Stream.concat(
            Stream.fromEffectDrain(echoMetadata(call)),
            Stream.flatMap(
              Stream.tap(requests, ({ orcaOobReport }) => say(orcaOobReport)),
              (request) => respond(request, call)
            )
          )
        )
      ),
    halfDuplexCall: (requests, call) =>
      Stream.unwrap(
        Effect.map(Stream.runCollect(requests), (all) =>
          Stream.flatMap(Stream.fromIterable(all), (request) => respond(request, call))
        )
      )
  })
}
