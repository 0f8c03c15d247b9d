/**
 * One call on an HTTP/2 stream: what unary and streaming calls have in common.
 *
 * Node tells of headers, data, trailers, an end and a close; this makes one status of it, exactly once. The listeners are
 * plain functions shared by all calls, because a closure for each event of each call is what costs.
 */
import * as http2 from "node:http2"
import { userAgent } from "../call/UserAgent.ts"
import type { Call } from "../call/Call.ts"
import { type Encoding, isEncoding } from "../call/Compression.ts"
import * as ContentType from "../call/ContentType.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Metadata } from "../call/Metadata.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as Method from "../call/Method.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import { Deframer, type Frame, FramingProblem } from "./Framing.ts"
import { FieldProblem, problemOf } from "./RequestFields.ts"
import type { Http2Connection } from "./Http2Connection.ts"
import { addTo, field, fromRaw } from "./WireMetadata.ts"
import { decodeMessage, fromHttpStatus, fromReset } from "../session/WireStatus.ts"

/** A timer of Node cannot be longer; a server holds to the deadline anyhow. */
const longestTimer = 2 ** 31 - 1

const exchange = Symbol("trunkline/http2/exchange")

type Owned = http2.ClientHttp2Stream & { [exchange]: ClientStream }

const noFields: ReadonlyArray<string> = []

const unknown = Code.toNumber("UNKNOWN")

function onResponse(
  this: unknown,
  headers: http2.IncomingHttpHeaders,
  flags: number,
  raw?: ReadonlyArray<string>
): void {
  ;(this as Owned)[exchange].onHeaders(headers, flags, raw ?? noFields)
}

function onData(this: unknown, chunk: Buffer): void {
  ;(this as Owned)[exchange].onChunk(chunk)
}

function onTrailers(this: unknown, trailers: http2.IncomingHttpHeaders, _: number, raw?: ReadonlyArray<string>): void {
  ;(this as Owned)[exchange].onTrailers(trailers, raw ?? noFields)
}

function onEnd(this: unknown): void {
  ;(this as Owned)[exchange].onEnd()
}

function onClose(this: unknown): void {
  ;(this as Owned)[exchange].onClose()
}

/** A close follows. */
function onError(this: unknown, error: Error): void {
  ;(this as Owned)[exchange].session.blame(error.message)
}

/** How far a call has come, for the text of an error. */
type Stage = "before it was sent" | "waiting for headers" | "waiting for messages" | "reading messages"

/** One call. */
export abstract class ClientStream {
  readonly session: Http2Connection
  readonly method: Method.Any
  readonly call: Call
  readonly deframer: Deframer
  /** How the server's compressed messages are compressed. */
  encoding: Encoding = "identity"
  stream: http2.ClientHttp2Stream | undefined
  rawHeaders: ReadonlyArray<string> = noFields
  rawTrailers: ReadonlyArray<string> = noFields
  /** How often the session had been looked at when the call was sent. */
  look = 0
  /** Whether the call has its outcome. */
  ended = false
  #unsent = false
  /** The server's own status, once it is known. */
  #status: { readonly code: number; readonly message: string } | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(session: Http2Connection, method: Method.Any, call: Call) {
    this.session = session
    this.method = method
    this.call = call
    this.deframer = new Deframer(session.options.maxReceiveMessageBytes)
  }

  /** The server's headers have come, and are not its status. */
  abstract headersArrived(): void
  /** There is data that may be a message. */
  abstract dataArrived(): void
  /** The server's status has come; messages may still lie unread. */
  abstract statusArrived(): void
  /** Everything the server sent has been handed over; the outcome may be told. */
  abstract allArrived(): void
  /** The outcome: `undefined` for OK. Called once. */
  abstract finished(error: RpcError.RpcError | undefined): void

  /** What the server did against the protocol. */
  serverError(code: Code.Code, message: string): RpcError.RpcError {
    return RpcError.annotate(this.localError(code, message), { origin: "remote" })
  }

  /** A message that cannot be one is the server's, one that is too large for this side is not. */
  messageError({ code, message }: { readonly code: Code.Code; readonly message: string }): RpcError.RpcError {
    return code === "RESOURCE_EXHAUSTED" ? this.localError(code, message) : this.serverError(code, message)
  }

  /** An error of this side's making. */
  localError(code: Code.Code, message: string, progress?: RpcError.Progress): RpcError.RpcError {
    return RpcError.make(code, message, {
      origin: "local",
      method: this.method.path,
      peer: this.session.endpoint.id,
      headers: this.#answered,
      progress
    })
  }

  /** Which call this is and how far it has come. */
  get #where(): string {
    const stage: Stage =
      this.stream === undefined || this.#unsent
        ? "before it was sent"
        : this.#status !== undefined
          ? "reading messages"
          : this.rawHeaders.length > 0
            ? "waiting for messages"
            : "waiting for headers"
    return `${this.method.path} on ${this.session.endpoint.id}, ${stage}`
  }

  deadlineExceeded(): RpcError.RpcError {
    const { clock, start } = this.call
    const millis = Math.round(Deadline.nowUnsafe(clock) - start)
    const progress = this.stream === undefined ? "not_started" : undefined
    return this.localError("DEADLINE_EXCEEDED", `deadline exceeded after ${millis} ms: ${this.#where}`, progress)
  }

  get headers(): Metadata {
    return fromRaw(this.rawHeaders)
  }

  /** The headers, if there were any. */
  get #answered(): Metadata | undefined {
    return this.rawHeaders.length === 0 ? undefined : this.headers
  }

  get trailers(): Metadata {
    return fromRaw(this.rawTrailers)
  }

  /** Sends the headers. Says why not when it can't. */
  open(): RpcError.RpcError | undefined {
    const { call, session } = this
    let millis = Infinity
    if (call.attemptDeadline !== Deadline.none) {
      millis = call.attemptDeadline - Deadline.nowUnsafe(call.clock)
      if (millis <= 0) return this.deadlineExceeded()
    }
    const fields = this.#fields(millis)
    if (fields instanceof RpcError.RpcError) return fields
    const stream = session.request(fields)
    if (stream === undefined) {
      return this.localError("UNAVAILABLE", `there is no connection to ${session.endpoint.id}`, "not_started")
    }
    if (stream instanceof FieldProblem) return this.#unsendable(stream)
    this.stream = stream
    this.look = session.look
    ;(stream as Owned)[exchange] = this
    stream.on("response", onResponse)
    stream.on("data", onData)
    stream.on("trailers", onTrailers)
    stream.on("end", onEnd)
    stream.on("close", onClose)
    stream.on("error", onError)
    session.occupants.add(this)
    if (millis < longestTimer) this.#timer = setTimeout(expire, Math.ceil(millis), this)
    return undefined
  }

  #fields(millis: number): http2.OutgoingHttpHeaders | RpcError.RpcError {
    const { call, session } = this
    const { compression, metadata } = call.options
    const fields: http2.OutgoingHttpHeaders = {
      ":method": "POST",
      ":scheme": session.scheme,
      ":authority": session.authority,
      ":path": this.method.path,
      "content-type": ContentType.ofRequests(this.method),
      te: "trailers",
      "user-agent": userAgent,
      "grpc-accept-encoding": "identity,deflate,gzip"
    }
    if (millis !== Infinity) fields["grpc-timeout"] = Deadline.toTimeoutHeader(millis)
    if (compression !== "identity") fields["grpc-encoding"] = compression
    if (call.attempt > 1) fields["grpc-previous-rpc-attempts"] = String(call.attempt - 1)
    if (metadata.size === 0) return fields
    const tooLarge = MetadataLimit.check(metadata, session.options.maxMetadataBytes)
    if (tooLarge !== undefined) {
      const message = `cannot send ${this.method.path}: ${tooLarge.message}`
      return this.localError("RESOURCE_EXHAUSTED", message, "not_started")
    }
    const problem = problemOf(metadata)
    return problem === undefined ? addTo(fields, metadata) : this.#unsendable(problem)
  }

  /** Nobody's fault but the caller's: another peer would not get it either. */
  #unsendable({ message }: FieldProblem): RpcError.RpcError {
    return this.localError("INTERNAL", `cannot send ${this.method.path}: ${message}`, "not_started")
  }

  onHeaders(headers: http2.IncomingHttpHeaders, flags: number, raw: ReadonlyArray<string>): void {
    if (this.ended) return
    this.rawHeaders = raw
    const contentType = field(headers, "content-type")
    if (Number(headers[":status"]) !== 200 || ContentType.subtypeOf(contentType) === undefined) {
      return this.#notGrpc(headers, contentType)
    }
    if ((flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0) {
      this.rawHeaders = noFields
      return this.onTrailers(headers, raw)
    }
    const encoding = field(headers, "grpc-encoding") ?? "identity"
    if (!isEncoding(encoding)) {
      return this.giveUp(
        this.serverError("INTERNAL", `the server uses the encoding ${encoding}, which is unknown here`)
      )
    }
    this.encoding = encoding
    this.headersArrived()
  }

  /** An answer that is not gRPC's, though it may say how it ended like one. */
  #notGrpc(headers: http2.IncomingHttpHeaders, contentType: string | undefined): void {
    const status = Number(headers[":status"])
    if (field(headers, "grpc-status") !== undefined) return this.onTrailers(headers, this.rawHeaders)
    this.giveUp(
      this.serverError(
        fromHttpStatus(status),
        `the answer is not gRPC: HTTP status ${status}, content-type ${contentType ?? "none"}`
      )
    )
  }

  onChunk(chunk: Buffer): void {
    if (this.ended) return
    this.deframer.push(chunk)
    this.dataArrived()
  }

  /** The next message, unless there is none, or the data is not one and the call is over. */
  next(): Frame | undefined {
    const frame = this.deframer.next()
    if (!(frame instanceof FramingProblem)) return frame
    this.giveUp(this.messageError(frame))
    return undefined
  }

  onTrailers(trailers: http2.IncomingHttpHeaders, raw: ReadonlyArray<string>): void {
    if (this.ended) return
    const status = field(trailers, "grpc-status")
    if (status === undefined) return
    this.rawTrailers = raw
    const isNumber = /^\d{1,3}$/.test(status)
    const otherwise = isNumber ? "" : `the server's grpc-status is no number: ${JSON.stringify(status)}`
    this.#status = {
      code: isNumber ? Number(status) : unknown,
      message: decodeMessage(field(trailers, "grpc-message") ?? otherwise)
    }
    this.statusArrived()
  }

  onEnd(): void {
    if (!this.ended && this.#status !== undefined) this.allArrived()
  }

  /** The stream is gone: with the status it had, or for a reason that has to be found. */
  onClose(): void {
    if (this.ended) return
    // What has come and was not asked for yet is not lost with the connection.
    for (let chunk: unknown = this.stream!.read(); chunk instanceof Buffer; chunk = this.stream!.read()) {
      this.deframer.push(chunk)
    }
    if (this.#status !== undefined) return this.allArrived()
    const { lost } = this.session
    const stream = this.stream!
    if (lost !== undefined) {
      this.finish(
        this.localError(
          "UNAVAILABLE",
          `connection lost: ${lost} (${this.#where})`,
          this.#unsent ? "not_started" : "processed"
        )
      )
    } else if (stream.rstCode === http2.constants.NGHTTP2_NO_ERROR && stream.readableEnded) {
      this.finish(this.serverError("INTERNAL", "the server ended the call without a status"))
    } else {
      const { code, message, progress } = fromReset(stream.rstCode ?? 0)
      this.finish(RpcError.annotate(this.localError(code, message, progress), { origin: "remote" }))
    }
  }

  neverSent(): void {
    this.#unsent = true
  }

  /** The server said goodbye and will not look at the call. */
  refuse(reason: string): void {
    const error = this.localError("UNAVAILABLE", `${reason} (${this.#where})`, this.#unsent ? "not_started" : "refused")
    this.finish(RpcError.annotate(error, { origin: "remote" }))
  }

  /** The server's status as an error; `undefined` for OK. */
  statusError(): RpcError.RpcError | undefined {
    const { code, message } = this.#status!
    if (code === 0) return undefined
    return RpcError.make(Code.fromNumber(code) as Code.Code, message, {
      origin: "remote",
      method: this.method.path,
      peer: this.session.endpoint.id,
      headers: this.#answered,
      trailers: this.trailers
    })
  }

  /** How the call ended, when all the server sent has been handed over. */
  outcome(): RpcError.RpcError | undefined {
    return (
      this.statusError() ??
      (this.deframer.isInside ? this.serverError("INTERNAL", "the server ended the call inside a message") : undefined)
    )
  }

  finish(error: RpcError.RpcError | undefined): void {
    if (this.ended) return
    this.ended = true
    clearTimeout(this.#timer)
    this.session.occupants.delete(this)
    this.finished(error)
  }

  /** Ends the call from this side, and tells whoever still listens. */
  giveUp(error: RpcError.RpcError): void {
    if (this.ended) return
    this.finish(error)
    this.leave()
  }

  /** Ends the call from this side with a reason. */
  cancel(reason: string): void {
    this.giveUp(this.localError("CANCELLED", reason))
  }

  /**
   * Resets the stream. Not in the tick it was opened in: a stream that Node resets before it has sent its headers never
   * closes, and neither does the connection when it is told to.
   */
  leave(): void {
    if (this.stream?.destroyed !== false) return
    this.session.ask()
    setImmediate(reset, this.stream)
  }
}

const expire = (self: ClientStream): void => self.giveUp(self.deadlineExceeded())

const reset = (stream: http2.ClientHttp2Stream): void => {
  stream.close(http2.constants.NGHTTP2_CANCEL)
  // What has come and nobody reads would keep it open.
  stream.resume()
}
