/**
 * A call as its handler sees it: what the client sent with it, and the metadata to send back.
 *
 * Response headers go out with the first message, or before it when a handler asks for that; trailers go out with the
 * status. Until then both can be added to, by the handler and by interceptors around it.
 */
import { Data, Effect, Result } from "effect"
import { Call } from "../call/Call.ts"
import type { Encoding } from "../call/Compression.ts"
import * as Metadata from "../call/Metadata.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import * as RpcError from "../status/RpcError.ts"

/**
 * Headers were set after they had been sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class HeadersSent extends Data.TaggedError("HeadersSent")<{ readonly method: string }> {
  override get message(): string {
    return `the response headers of ${this.method} are sent already`
  }
}

/** What a call needs of the wire it came on. */
interface Wire {
  readonly headers: (headers: Metadata.Metadata, compression: Encoding) => void
  readonly maxMetadataBytes?: number | undefined
  readonly cutOff?: RpcError.RpcError | undefined
}

/**
 * A call being served.
 *
 * @category models
 * @since 0.1.0
 */
export class ServerCall extends Call {
  /** Full method path, `/package.Service/Method`. */
  readonly method: string
  /** The client's address, as far as the server can tell. */
  readonly remote: string
  readonly #wire: Wire
  #headers: Metadata.Metadata = Metadata.empty
  #trailers: Metadata.Metadata = Metadata.empty
  #compression: Encoding = "identity"
  #sent = false
  /** @internal Set when the client's deadline is over, before the handler is interrupted. */
  outOfTime: RpcError.RpcError | undefined = undefined

  constructor(method: string, remote: string, wire: Wire, ...call: ConstructorParameters<typeof Call>) {
    super(...call)
    this.method = method
    this.remote = remote
    this.#wire = wire
  }

  override get served(): boolean {
    return true
  }

  override get cutOff(): RpcError.RpcError | undefined {
    return this.outOfTime ?? this.#wire.cutOff
  }

  /** The request headers. */
  get metadata(): Metadata.Metadata {
    return this.options.metadata
  }

  /** The response headers so far. */
  get headers(): Metadata.Metadata {
    return this.#headers
  }

  /** The trailers so far. */
  get trailers(): Metadata.Metadata {
    return this.#trailers
  }

  /** How responses are compressed. */
  get compression(): Encoding {
    return this.#compression
  }

  /**
   * Compresses the responses, if the client accepts the encoding and the server can. Fails once the headers are sent,
   * because they name it.
   */
  setCompression(encoding: Encoding): Effect.Effect<void, RpcError.RpcError> {
    return Effect.suspend(() => {
      if (this.#sent) return Effect.fail(misuse(new HeadersSent({ method: this.method })))
      this.#compression = encoding
      return Effect.void
    })
  }

  /**
   * Adds response headers; a key given again replaces. Fails once they are sent, for a key or value that cannot be sent, and
   * with `RESOURCE_EXHAUSTED` where all would be larger than the server's `maxMetadataBytes`.
   */
  setHeaders(input: Metadata.Input): Effect.Effect<void, RpcError.RpcError> {
    return Effect.flatMap(checked(input), (metadata) => {
      if (this.#sent) return Effect.fail(misuse(new HeadersSent({ method: this.method })))
      const headers = Metadata.override(this.#headers, metadata)
      return Effect.map(this.#fits(headers), () => {
        this.#headers = headers
      })
    })
  }

  /**
   * Adds trailers; a key given again replaces. They are sent with the status, whatever it is. Fails for a key or value that
   * cannot be sent, and with `RESOURCE_EXHAUSTED` where all would be larger than the server's `maxMetadataBytes`.
   */
  setTrailers(input: Metadata.Input): Effect.Effect<void, RpcError.RpcError> {
    return Effect.flatMap(checked(input), (metadata) => {
      const trailers = Metadata.override(this.#trailers, metadata)
      return Effect.map(this.#fits(trailers), () => {
        this.#trailers = trailers
      })
    })
  }

  #fits(metadata: Metadata.Metadata): Effect.Effect<void, RpcError.RpcError> {
    const cause = MetadataLimit.check(metadata, this.#wire.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes)
    if (cause === undefined) return Effect.void
    const { method } = this
    return Effect.fail(RpcError.make("RESOURCE_EXHAUSTED", `the answer's ${cause.message}`, { cause, method }))
  }

  /** Sends the response headers now, before there is a message. */
  readonly sendHeaders: Effect.Effect<void> = Effect.sync(() => this.flushHeaders(this.#headers))

  /** @internal */
  flushHeaders(headers: Metadata.Metadata): void {
    if (this.#sent) return
    this.#sent = true
    this.#wire.headers(headers, this.#compression)
  }
}

const misuse = (cause: Error): RpcError.RpcError => RpcError.make("INTERNAL", cause.message, { cause })

const checked = (input: Metadata.Input): Effect.Effect<Metadata.Metadata, RpcError.RpcError> =>
  Effect.fromResult(Result.mapError(Metadata.make(input), misuse))
