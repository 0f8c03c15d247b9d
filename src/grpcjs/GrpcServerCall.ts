/**
 * One served call on grpc-js, without grpc-js's handler layer.
 *
 * A server interceptor sees a call as messages, reads and a status. This one does not pass the call on but serves it,
 * which is what lets each message be asked for when there is room for it; the handler layer reads ahead into a Node
 * stream.
 */
import { EventEmitter } from "node:events"
import { constants, type ServerHttp2Stream } from "node:http2"
import * as grpc from "@grpc/grpc-js"
import { Effect, type Exit, type Fiber, Stream } from "effect"
import * as ContentType from "../call/ContentType.ts"
import type { Metadata } from "../call/Metadata.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import * as ServeCall from "../server/ServeCall.ts"
import * as FinalStatus from "../server/FinalStatus.ts"
import type { Handler } from "../server/Handlers.ts"
import type { OpenCalls } from "../server/OpenCalls.ts"
import { ReceiveWindow } from "../transport/ReceiveWindow.ts"
import { toBuffer } from "./GrpcCall.ts"
import { fromGrpc, toGrpc } from "./GrpcMetadata.ts"

/** Runs a call in a fiber of the server. */
export type Run = <A>(effect: Effect.Effect<A, RpcError.RpcError>) => Fiber.Fiber<A, RpcError.RpcError>

type Wire = grpc.ServerInterceptingCallInterface
type Listener = Parameters<Wire["start"]>[0]

/** What holds for every call of a server. */
export interface Limits {
  readonly window: number
  readonly maxMetadataBytes: number
  readonly calls: OpenCalls<Served>
}

const toGrpcStatus = ({ code, message, trailers }: FinalStatus.FinalStatus): Parameters<Wire["sendStatus"]>[0] => ({
  code: Code.toNumber(code),
  details: code === "OK" ? "OK" : message,
  metadata: toGrpc(trailers)
})

const incoming = (wire: Wire, metadata: grpc.Metadata): ServeCall.Incoming => {
  const deadline = wire.getDeadline()
  return {
    metadata: fromGrpc(metadata),
    timeoutMillis: deadline === Infinity ? Infinity : Math.max(0, Number(deadline) - Date.now()),
    remote: wire.getPeer()
  }
}

/**
 * The headers of an answer. grpc-js calls every message `+proto` unless they say otherwise, and does not show what the
 * client asked in.
 */
const answerHeaders = (headers: Metadata, { method }: Handler): grpc.Metadata => {
  const type = ContentType.ofResponses(method)
  if (type === proto) return toGrpc(headers)
  const out = toGrpc(headers).clone()
  out.set("content-type", type)
  return out
}

const proto = ContentType.make("proto")

const shuttingDown = RpcError.make("UNAVAILABLE", "the server is shutting down")

const deadlineExceeded = ({ method }: Handler): RpcError.RpcError =>
  RpcError.make("DEADLINE_EXCEEDED", `deadline exceeded on the server of ${method.path}`)

const outgoing = ({ cutOff, handler, limits: { maxMetadataBytes }, wire }: Served): ServeCall.Outgoing => ({
  maxMetadataBytes,
  /** grpc-js ends a call at its deadline by itself. */
  get cutOff() {
    return cutOff() ?? (Number(wire.getDeadline()) <= Date.now() ? deadlineExceeded(handler) : undefined)
  },
  headers: (headers) => wire.sendMetadata(answerHeaders(MetadataLimit.fit(headers, maxMetadataBytes), handler)),
  message: (bytes) => Effect.callback((resume) => wire.sendMessage(toBuffer(bytes), () => resume(Effect.void)))
})

/**
 * Whether the requests ended inside a message, which grpc-js takes for a good end. Only its decoder knows, in a field that
 * is not public; where it cannot be read, this is `false`.
 */
const isInsideMessage = (wire: Wire): boolean => {
  const { decoder } = wire as { readonly decoder?: { readonly readState?: unknown } }
  return typeof decoder?.readState === "number" && decoder.readState !== betweenMessages
}

/** The decoder's state when it has seen no byte of a next message. */
const betweenMessages = 0

const isStream = (u: unknown): u is ServerHttp2Stream => u instanceof EventEmitter && "rstCode" in u

/** What the client still sends after its status is of no use any more. */
const release = (stream: ServerHttp2Stream): void => {
  if (!stream.closed) stream.close(constants.NGHTTP2_NO_ERROR)
}

/** What serving a unary and a streaming call have in common: it runs in a fiber, ends with a status, and the client may leave. */
export abstract class Served implements Listener {
  readonly wire: Wire
  readonly handler: Handler
  readonly limits: Limits
  /** Whether the client has left, or the deadline is over. */
  left = false
  readonly #run: Run
  #fiber: Fiber.Fiber<Metadata, RpcError.RpcError> | undefined
  #stopped: RpcError.RpcError | undefined

  constructor(wire: Wire, handler: Handler, run: Run, limits: Limits) {
    this.wire = wire
    this.handler = handler
    this.limits = limits
    this.#run = run
  }

  onReceiveMetadata(metadata: grpc.Metadata): void {
    const { calls } = this.limits
    calls.add(this)
    // A status that was sent may still wait for the client to read.
    const { stream } = this.wire as { readonly stream?: unknown }
    if (stream instanceof EventEmitter) stream.once("close", () => calls.delete(this))
    else this.#forget = () => calls.delete(this)
    this.begin(metadata)
  }

  /** Where grpc-js does not show its stream, a call is over when its status is sent. */
  #forget: (() => void) | undefined

  /** What the client is told when neither the handler nor the client ended the call. */
  readonly cutOff = (): RpcError.RpcError | undefined => this.#stopped

  /** Ends the call because the server stops. */
  stop(): void {
    this.#stopped = shuttingDown
    this.refuse(shuttingDown.reason.message, grpc.status.UNAVAILABLE)
    this.#fiber?.interruptUnsafe()
  }

  get outgoing(): ServeCall.Outgoing {
    return outgoing(this)
  }

  serve(effect: Effect.Effect<Metadata, RpcError.RpcError>): void {
    this.#fiber = this.#run(effect)
    this.#fiber.addObserver((exit) => this.#end(exit))
  }

  refuse(details: string, code = grpc.status.UNIMPLEMENTED): void {
    this.wire.sendStatus({ code, details, metadata: null })
  }

  /** An observer must not throw, and grpc-js does on what it cannot encode. The code arrives all the same. */
  #end(exit: Exit.Exit<Metadata, RpcError.RpcError>): void {
    const status = FinalStatus.fromExit(exit, this.limits.maxMetadataBytes)
    try {
      this.wire.sendStatus(toGrpcStatus(status))
    } catch {
      this.wire.sendStatus({ code: Code.toNumber(status.code), details: "", metadata: null })
    }
  }

  /** The call is over: its status is sent, or there is nobody to tell it. */
  onCancel(): void {
    this.left = true
    this.#forget?.()
    this.#fiber?.interruptUnsafe()
    const { stream } = this.wire as { readonly stream?: unknown }
    if (isStream(stream) && !stream.closed && !stream.readableEnded) setImmediate(release, stream)
  }

  abstract begin(metadata: grpc.Metadata): void
  abstract onReceiveMessage(message: Uint8Array): void
  /** The client has sent all it wanted to send. */
  abstract requestsEnded(): void

  onReceiveHalfClose(): void {
    // A stream that was reset ends too. grpc-js looks whether it was when it is asked to read, and says so a tick later.
    this.wire.startRead()
    process.nextTick(() => void (this.left || this.requestsEnded()))
  }
}

/** A unary call runs when its one request is complete. */
class ServedUnary extends Served {
  #metadata: grpc.Metadata = new grpc.Metadata()
  #request: Uint8Array | undefined

  begin(metadata: grpc.Metadata): void {
    this.#metadata = metadata
    this.wire.startRead()
  }

  onReceiveMessage(message: Uint8Array): void {
    if (this.#request !== undefined) return this.refuse("expected one request message, received more")
    this.#request = message
    this.wire.startRead()
  }

  requestsEnded(): void {
    if (isInsideMessage(this.wire)) return this.refuse("the request ended inside a message", grpc.status.INTERNAL)
    if (this.#request === undefined) return this.refuse("expected one request message, received none")
    this.serve(ServeCall.unary(this.handler, this.#request, incoming(this.wire, this.#metadata), this.outgoing))
  }
}

/** A streaming call of any kind runs at once: the wire does not tell them apart. */
class ServedStream extends Served {
  readonly #receiveWindow: ReceiveWindow<Uint8Array>

  constructor(wire: Wire, handler: Handler, run: Run, limits: Limits) {
    super(wire, handler, run, limits)
    this.#receiveWindow = new ReceiveWindow(limits.window, () => wire.startRead())
  }

  begin(metadata: grpc.Metadata): void {
    const requests = Stream.fromPull(Effect.succeed(this.#receiveWindow.pull))
    this.#receiveWindow.request()
    this.serve(ServeCall.stream(this.handler, requests, incoming(this.wire, metadata), this.outgoing))
  }

  onReceiveMessage(message: Uint8Array): void {
    this.#receiveWindow.push(message)
    if (this.#receiveWindow.outstanding > 0) this.wire.startRead()
  }

  requestsEnded(): void {
    this.#receiveWindow.end(
      isInsideMessage(this.wire) ? RpcError.make("INTERNAL", "the requests ended inside a message") : undefined
    )
  }
}

/** Takes the place of the rest of grpc-js's server: whatever would have listened to the call does not hear of it. */
class Takeover extends grpc.ServerInterceptingCall {
  readonly #wire: Wire
  readonly #served: Listener

  constructor(wire: Wire, served: Listener) {
    super(wire)
    this.#wire = wire
    this.#served = served
  }

  override start(): void {
    this.#wire.start(this.#served)
  }
}

/** Serves every call the router has a handler for. */
export const interceptor =
  (router: ReadonlyMap<string, Handler>, run: Run, limits: Limits): grpc.ServerInterceptor =>
  ({ path }, wire) => {
    const handler = router.get(path)!
    return new Takeover(
      wire,
      handler.method.kind === "unary"
        ? new ServedUnary(wire, handler, run, limits)
        : new ServedStream(wire, handler, run, limits)
    )
  }
