/**
 * One call as a server has it: an HTTP/2 stream on one side, `Dispatch` on the other.
 *
 * The handler runs in a fiber that is interrupted when the client goes away. Requests are taken from the data when the
 * handler has room for them; a response waits until the wire has taken the one before.
 */
import { Effect, type Fiber, Stream } from "effect"
import * as http2 from "node:http2"
import { encodings, type Encoding, isEncoding } from "../call/Compression.ts"
import * as ContentType from "../call/ContentType.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Metadata from "../call/Metadata.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as Method from "../call/Method.ts"
import * as ServeCall from "../server/ServeCall.ts"
import * as FinalStatus from "../server/FinalStatus.ts"
import type { PingStrikes } from "../server/PingStrikes.ts"
import type { Handler } from "../server/Handlers.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import { ReceiveWindow } from "../transport/ReceiveWindow.ts"
import { Deframer, type Frame, frame, FramingProblem } from "./Framing.ts"
import { compressed, expanded } from "./MessageEncoding.ts"
import { addTo, field, fromRaw } from "./WireMetadata.ts"
import { encodeMessage } from "../session/WireStatus.ts"

/** Runs a call in a fiber of the server. */
export type Run = <A>(effect: Effect.Effect<A, RpcError.RpcError>) => Fiber.Fiber<A, RpcError.RpcError>

/** What holds for every call of a server. */
export interface Limits {
  readonly window: number
  readonly maxReceiveMessageBytes: number
  readonly maxMetadataBytes: number
}

type Fields = http2.OutgoingHttpHeaders

const accepted = encodings.join(",")

const statusFields = ({ code, message, trailers }: FinalStatus.FinalStatus): Fields => {
  const fields: Fields = { "grpc-status": String(Code.toNumber(code)) }
  if (message !== "") fields["grpc-message"] = encodeMessage(message)
  return addTo(fields, trailers)
}

/** Node throws where a stream is over, or a field is one it refuses. The end of a call must not be the end of the process. */
const isSent = (send: () => void): boolean => {
  try {
    send()
    return true
  } catch {
    return false
  }
}

const shuttingDown = RpcError.make("UNAVAILABLE", FinalStatus.shuttingDown.message)

/** Answers are of the type that was asked in. */
const contentTypeOf = (headers: http2.IncomingHttpHeaders): string =>
  ContentType.make(ContentType.subtypeOf(field(headers, "content-type")) ?? "")

/** What any peer reads: the limit for the text of a refusal. */
const leastMetadata = 4096

/** What the protocol's own fields and the least text take of a header block. */
export const ownFields = 2048

/** Ends a stream with a status and nothing else. */
export const refuse = (
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  error: { readonly code: Code.Code; readonly message: string },
  more?: Fields
): void => {
  stream.on("error", () => {})
  const status = FinalStatus.make({ code: error.code, message: error.message, trailers: Metadata.empty }, leastMetadata)
  const fields = { ":status": 200, "content-type": contentTypeOf(headers), ...statusFields(status), ...more }
  isSent(() => stream.respond(fields, { endStream: true }))
  // The client may still be sending.
  stream.close(http2.constants.NGHTTP2_NO_ERROR)
}

/** What the headers of a request say, or why it cannot be served. */
interface Opening {
  readonly contentType: string
  readonly timeoutMillis: number
  /** When the headers came, where there is a timeout. */
  readonly at: number
  readonly encoding: Encoding
  /** What the client reads, besides `identity`. */
  readonly accepts: ReadonlyArray<string>
}

const openingOf = (
  headers: http2.IncomingHttpHeaders,
  method: Method.Any
): Opening | { readonly code: Code.Code; readonly problem: string } => {
  const subtype = ContentType.subtypeOf(field(headers, "content-type")) ?? ""
  const refusal = ContentType.refusal(method, subtype)
  if (refusal !== undefined) return { code: refusal.code, problem: refusal.reason.message }
  const timeout = field(headers, "grpc-timeout")
  const timeoutMillis = timeout === undefined ? Infinity : Deadline.fromTimeoutHeader(timeout)
  if (timeoutMillis === undefined) return { code: "INTERNAL", problem: "malformed grpc-timeout" }
  const encoding = field(headers, "grpc-encoding") ?? "identity"
  if (!isEncoding(encoding)) return { code: "UNIMPLEMENTED", problem: `unknown message encoding ${encoding}` }
  const accepts = (field(headers, "grpc-accept-encoding") ?? "").split(",").map((name) => name.trim())
  const at = timeoutMillis === Infinity ? 0 : performance.now()
  return { contentType: ContentType.make(subtype), timeoutMillis, at, encoding, accepts }
}

/** Answers what is not gRPC. */
export const refuseHttp = (stream: http2.ServerHttp2Stream): void => {
  stream.on("error", () => {})
  isSent(() => stream.respond({ ":status": 415 }, { endStream: true }))
  stream.close(http2.constants.NGHTTP2_NO_ERROR)
}

/** A stream as it came. */
export interface Arrival {
  readonly stream: http2.ServerHttp2Stream
  readonly headers: http2.IncomingHttpHeaders
  readonly raw: ReadonlyArray<string>
  /** `undefined` when its connection is over already. */
  readonly connection: { readonly strikes: PingStrikes } | undefined
}

/** Serves a stream with a handler. Says how to end it from outside. */
export const serve = (arrival: Arrival, handler: Handler, run: Run, limits: Limits): ServerStream | undefined => {
  const { headers, stream } = arrival
  const opening = openingOf(headers, handler.method)
  if ("problem" in opening) {
    const { code, problem } = opening
    refuse(stream, headers, { code, message: problem }, { "grpc-accept-encoding": accepted })
    return undefined
  }
  const parts = { arrival, handler, opening, run, limits }
  const call = handler.method.kind === "unary" ? new ServedUnary(parts) : new ServedStream(parts)
  call.begin()
  return call
}

const remoteOf = (stream: http2.ServerHttp2Stream): string => {
  const { remoteAddress, remotePort } = stream.session?.socket ?? {}
  if (remoteAddress === undefined) return "unknown"
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
}

/** What a served call is made of. */
interface Parts {
  readonly arrival: Arrival
  readonly handler: Handler
  readonly opening: Opening
  readonly run: Run
  readonly limits: Limits
}

/** A call being served. */
export abstract class ServerStream implements ServeCall.Outgoing {
  readonly stream: http2.ServerHttp2Stream
  readonly handler: Handler
  readonly limits: Limits
  readonly deframer: Deframer
  readonly #arrival: Arrival
  readonly #opening: Opening
  readonly #run: Run
  #fiber: Fiber.Fiber<Metadata.Metadata, RpcError.RpcError> | undefined
  /** What the client is told when neither the handler nor the client ended the call. */
  cutOff: RpcError.RpcError | undefined
  /** How responses that are compressed are. */
  #encoding: Encoding = "identity"
  #ended = false

  constructor({ arrival, handler, limits, opening, run }: Parts) {
    this.stream = arrival.stream
    this.handler = handler
    this.limits = limits
    this.deframer = new Deframer(limits.maxReceiveMessageBytes)
    this.#arrival = arrival
    this.#opening = opening
    this.#run = run
  }

  abstract begin(): void

  /** How long the client waits from its headers on. */
  get timeoutMillis(): number {
    return this.#opening.timeoutMillis
  }

  get incoming(): ServeCall.Incoming {
    const waited = this.timeoutMillis === Infinity ? 0 : performance.now() - this.#opening.at
    const timeoutMillis = Math.max(0, this.timeoutMillis - waited)
    return { metadata: fromRaw(this.#arrival.raw), timeoutMillis, remote: remoteOf(this.stream) }
  }

  /** What fits into a header block of this server and is read by this client. */
  get maxMetadataBytes(): number {
    const { maxMetadataBytes } = this.limits
    const read = this.stream.session?.remoteSettings.maxHeaderListSize ?? Infinity
    return Math.max(0, Math.min(maxMetadataBytes, read - ownFields))
  }

  headers(metadata: Metadata.Metadata, compression: Encoding): void {
    // The client may have left while the handler made its answer.
    if (this.stream.closed || this.stream.destroyed || this.stream.headersSent) return
    this.#arrival.connection?.strikes.forgive()
    if (compression !== "identity" && this.#opening.accepts.includes(compression)) this.#encoding = compression
    const fields = {
      ":status": 200,
      "content-type": this.#opening.contentType,
      "grpc-accept-encoding": accepted,
      ...(this.#encoding === "identity" ? undefined : { "grpc-encoding": this.#encoding })
    }
    this.stream.respond(addTo(fields, MetadataLimit.fit(metadata, this.maxMetadataBytes)), { waitForTrailers: true })
  }

  message(bytes: Uint8Array, isCompressed: boolean): Effect.Effect<void> {
    return isCompressed && this.#encoding !== "identity"
      ? Effect.flatMap(compressed(bytes, this.#encoding), (bytes) => this.write(bytes))
      : this.write(frame(bytes, false))
  }

  /** Sends what is ready for the wire, and waits until it has been taken. */
  write(bytes: Buffer): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.stream.closed || this.stream.destroyed) return resume(Effect.void)
      this.#arrival.connection?.strikes.forgive()
      this.stream.write(bytes, () => resume(Effect.void))
    })
  }

  /** A request's bytes, expanded if they came compressed. */
  request(frame: Frame): Effect.Effect<Uint8Array, RpcError.RpcError> {
    return frame.compressed
      ? Effect.mapError(
          expanded(frame, this.#opening.encoding, this.limits.maxReceiveMessageBytes),
          ({ code, message }) => RpcError.make(code, message)
        )
      : Effect.succeed(frame.bytes)
  }

  /** The next request; data that is none ends the call. */
  next(): Frame | undefined {
    if (this.#ended) return undefined
    const frame = this.deframer.next()
    if (!(frame instanceof FramingProblem)) return frame
    this.refuse(frame.code, frame.message)
    return undefined
  }

  /** Whether the call has its status, or nobody to tell it. */
  get ended(): boolean {
    return this.#ended
  }

  /** Watches for the client that leaves. */
  watch(): void {
    this.stream
      .on("error", () => {})
      .on("close", () => {
        if (!this.#ended) this.#fiber?.interruptUnsafe()
        this.#ended = true
      })
  }

  run(effect: Effect.Effect<Metadata.Metadata, RpcError.RpcError>): void {
    this.#fiber = this.#run(effect)
    this.#fiber.addObserver((exit) => this.#end(FinalStatus.fromExit(exit, this.maxMetadataBytes)))
  }

  /** Ends the call without its handler's word. */
  refuse(code: Code.Code, message: string): void {
    this.cutOff = RpcError.make(code, message)
    this.#end(FinalStatus.make({ code, message, trailers: Metadata.empty }, this.maxMetadataBytes))
    this.#fiber?.interruptUnsafe()
  }

  /** Ends the call because the server, or its connection, does. */
  stop(why: RpcError.RpcError = shuttingDown): void {
    this.refuse(why.code, why.reason.message)
  }

  #end(status: FinalStatus.FinalStatus): void {
    const { stream } = this
    if (this.#ended || stream.destroyed) return
    this.#ended = true
    this.#arrival.connection?.strikes.forgive()
    if (!stream.headersSent) {
      const fields = { ":status": 200, "content-type": this.#opening.contentType, ...statusFields(status) }
      return this.#last(status, fields, (fields) => stream.respond(fields, { endStream: true }))
    }
    stream.once("wantTrailers", () => this.#last(status, statusFields(status), (fields) => stream.sendTrailers(fields)))
    stream.end()
  }

  /** Sends the last header block; if Node refuses a field of it, then without the metadata. */
  #last({ code }: FinalStatus.FinalStatus, fields: Fields, send: (fields: Fields) => void): void {
    const { ":status": httpStatus, "content-type": contentType } = fields
    const bare = { ":status": httpStatus, "content-type": contentType, "grpc-status": String(Code.toNumber(code)) }
    const sent = isSent(() => send(fields)) || isSent(() => send(bare))
    if (sent) this.#release()
    else this.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
  }

  /** What the client still sends is of no use any more. */
  #release(): void {
    const { stream } = this
    if (!stream.readableEnded) {
      stream.resume()
      setImmediate(() => stream.close(http2.constants.NGHTTP2_NO_ERROR))
    }
  }
}

/** The longest time Node's timers count. */
const longestTimer = 2 ** 31 - 1

/** A unary call runs when its one request is complete; its deadline runs from the headers on. */
class ServedUnary extends ServerStream {
  #request: Frame | undefined
  #timer: NodeJS.Timeout | undefined

  begin(): void {
    const { stream } = this
    if (this.timeoutMillis <= longestTimer) {
      const expired = () => this.refuse("DEADLINE_EXCEEDED", "deadline exceeded before the request was complete")
      this.#timer = setTimeout(expired, this.timeoutMillis)
    }
    this.watch()
    stream.on("data", (chunk: Buffer) => {
      this.deframer.push(chunk)
      for (let frame = this.next(); frame !== undefined; frame = this.next()) {
        if (this.#request !== undefined) {
          return this.refuse("UNIMPLEMENTED", "expected one request message, received more")
        }
        this.#request = frame
      }
    })
    stream.on("end", () => this.#complete())
    stream.on("close", () => clearTimeout(this.#timer))
  }

  #complete(): void {
    clearTimeout(this.#timer)
    // A client that left has not ended its request.
    if (this.stream.aborted || this.ended) return
    if (this.deframer.isInside) return this.refuse("INTERNAL", "the request ended inside a message")
    const request = this.#request
    if (request === undefined) return this.refuse("UNIMPLEMENTED", "expected one request message, received none")
    const dispatch = (bytes: Uint8Array) => ServeCall.unary(this.handler, bytes, this.incoming, this)
    this.run(request.compressed ? Effect.flatMap(this.request(request), dispatch) : dispatch(request.bytes))
  }
}

/** A streaming call of any kind runs at once: the wire does not tell them apart. */
class ServedStream extends ServerStream {
  readonly #receiveWindow = new ReceiveWindow<Frame>(this.limits.window, () => this.#deliver())
  #complete = false

  begin(): void {
    this.stream.on("data", (chunk: Buffer) => {
      this.deframer.push(chunk)
      this.#deliver()
    })
    this.stream.on("end", () => {
      // A client that left has not ended its requests.
      if (this.stream.aborted) return
      this.#complete = true
      this.#deliver()
    })
    this.watch()
    this.#receiveWindow.request()
    const frames = Stream.fromPull(Effect.succeed(this.#receiveWindow.pull))
    const requests = Stream.mapEffect(frames, (frame) => this.request(frame))
    this.run(ServeCall.stream(this.handler, requests, this.incoming, this))
  }

  /** Hands over what the receive window has room for; the data of the rest stays on the wire. */
  #deliver(): void {
    while (this.#receiveWindow.outstanding > 0) {
      const frame = this.next()
      if (frame === undefined) {
        if (this.#complete) this.#finish()
        else this.stream.resume()
        return
      }
      this.#receiveWindow.push(frame)
    }
    if (this.#complete && !this.deframer.isInside) this.#finish()
    else this.stream.pause()
  }

  #finish(): void {
    this.#receiveWindow.end(
      this.deframer.isInside ? RpcError.make("INTERNAL", "the requests ended inside a message") : undefined
    )
  }
}
