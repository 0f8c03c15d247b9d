/**
 * Unary calls on an HTTP/2 connection.
 */
import { Effect } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import { isUncompressed, markArrived } from "../call/Compression.ts"
import type { Response, Unary } from "../call/Interceptor.ts"
import type { Metadata } from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import { RpcError } from "../status/RpcError.ts"
import { ClientStream } from "./ClientStream.ts"
import { type Frame, frame } from "./Framing.ts"
import { compressed, expanded } from "./MessageEncoding.ts"
import type { Http2Connection } from "./Http2Connection.ts"
import { fromRaw } from "./WireMetadata.ts"

/** The answer; metadata is made when somebody reads it. */
class UnaryResponse<O> implements Response<O> {
  readonly message: O
  readonly #headers: ReadonlyArray<string>
  readonly #trailers: ReadonlyArray<string>

  constructor(message: O, headers: ReadonlyArray<string>, trailers: ReadonlyArray<string>) {
    this.message = message
    this.#headers = headers
    this.#trailers = trailers
  }

  get headers(): Metadata {
    return fromRaw(this.#headers)
  }

  get trailers(): Metadata {
    return fromRaw(this.#trailers)
  }
}

type Resume<O> = (effect: Effect.Effect<Response<O>, RpcError>) => void

class UnaryStream<I, O> extends ClientStream {
  declare readonly method: Method<I, O>
  readonly #resume: Resume<O>
  #first: Frame | undefined
  #messages = 0

  constructor(session: Http2Connection, method: Method<I, O>, call: Call, resume: Resume<O>) {
    super(session, method, call)
    this.#resume = resume
  }

  headersArrived(): void {}

  dataArrived(): void {
    for (let frame = this.next(); frame !== undefined; frame = this.next()) {
      this.#first ??= frame
      // A server that goes on is not listened to, whatever it may still say.
      if (++this.#messages > 1) return this.giveUp(this.#wrongCount())
    }
  }

  statusArrived(): void {}

  allArrived(): void {
    this.finish(this.outcome())
  }

  finished(error: RpcError | undefined): void {
    this.#resume(error === undefined ? this.#answer() : Effect.fail(error))
  }

  #wrongCount(): RpcError {
    return this.serverError("INTERNAL", `expected one response message, received ${this.#messages}`)
  }

  #answer(): Effect.Effect<Response<O>, RpcError> {
    if (this.#first === undefined) return Effect.fail(this.#wrongCount())
    if (!this.#first.compressed) return this.#decoded(this.#first.bytes)
    return expanded(this.#first, this.encoding, this.session.options.maxReceiveMessageBytes).pipe(
      Effect.mapError((problem) => this.messageError(problem)),
      Effect.flatMap((bytes) => this.#decoded(bytes)),
      Effect.tap(({ message }) => Effect.sync(() => markArrived(message)))
    )
  }

  #decoded(bytes: Uint8Array): Effect.Effect<Response<O>, RpcError> {
    const message = decodeResponse(this.method, bytes, this.call, this.session.endpoint.id)
    return message instanceof RpcError
      ? Effect.fail(message)
      : Effect.succeed(new UnaryResponse(message, this.rawHeaders, this.rawTrailers))
  }
}

/** Sends the call with its one message, ready for the wire. */
const exchange = <I, O>(session: Http2Connection, method: Method<I, O>, call: Call, message: Buffer) =>
  Effect.callback<Response<O>, RpcError>((resume) => {
    const self = new UnaryStream(session, method, call, resume)
    const refused = self.open()
    if (refused !== undefined) return resume(Effect.fail(refused))
    self.stream!.end(message)
    return Effect.sync(() => self.cancel("cancelled by the caller"))
  })

/** The unary calls of a connection. */
export const make =
  (session: Http2Connection): Unary =>
  (method, request, call) =>
    Effect.suspend(() => {
      const { id } = session.endpoint
      const bytes = encodeRequest(method, request, call, id, session.options.maxSendMessageBytes)
      if (bytes instanceof RpcError) return Effect.fail(bytes)
      const { compression } = call.options
      return compression === "identity" || isUncompressed(request)
        ? exchange(session, method, call, frame(bytes, false))
        : Effect.flatMap(compressed(bytes, compression), (message) => exchange(session, method, call, message))
    })
