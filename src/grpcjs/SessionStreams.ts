/**
 * The streams grpc-js opens on its HTTP/2 session, while they are open.
 *
 * grpc-js does not say which stream a call is on, and tells every end of a connection to all calls on it alike. Which of them
 * the server has not looked at is known here, and is told to grpc-js in HTTP/2's own way: such a stream ends with
 * REFUSED_STREAM.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2"
import { onResponse, onTrailers } from "./AnswerFields.ts"

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_STREAM_STATE_IDLE } = constants

/** What is told of new streams. */
export interface Watcher {
  /** One has been opened. */
  readonly opened: () => void
  /** None can be opened any more. */
  readonly refused: (problem: string) => void
}

/** The open streams of one session. */
export class SessionStreams {
  readonly #open = new Set<ClientHttp2Stream>()
  readonly #session: ClientHttp2Session

  /** Has every request of the session come through here. */
  constructor(session: ClientHttp2Session, watcher: Watcher) {
    this.#session = session
    const open = this.#open
    const request = session.request.bind(session)
    const forget = function (this: ClientHttp2Stream): void {
      open.delete(this)
    }
    session.request = (headers, options) => {
      let stream: ClientHttp2Stream
      try {
        stream = request(headers, options)
      } catch (error) {
        watcher.refused(error instanceof Error ? error.message : "no call can be sent")
        throw error
      }
      if (stream.id === undefined) watcher.refused("its stream ids are used up")
      else watcher.opened()
      open.add(stream)
      stream.on("response", onResponse).on("trailers", onTrailers).once("close", forget)
      return stream
    }
  }

  /**
   * The server says goodbye: it has not looked at streams after this one (RFC 9113, 6.8). A goodbye with an error ends the
   * others too, and its code says nothing about any of them.
   */
  goodbye(code: number, lastStreamId: number): void {
    for (const stream of this.#open) {
      if (stream.id !== undefined && stream.id > lastStreamId) stream.close(NGHTTP2_REFUSED_STREAM)
      else if (code === NGHTTP2_REFUSED_STREAM) stream.close(NGHTTP2_CANCEL)
    }
  }

  /** The connection is about to be lost. Streams over what the server takes at one time have never been sent. */
  refuseUnsent(): void {
    const limit = this.#session.destroyed ? undefined : this.#session.remoteSettings.maxConcurrentStreams
    if (this.#open.size <= (limit ?? Infinity)) return
    for (const stream of this.#open) {
      if (stream.state.state === NGHTTP2_STREAM_STATE_IDLE) stream.close(NGHTTP2_REFUSED_STREAM)
    }
  }
}

/** A goodbye that is no complaint. */
export const isGraceful = (code: number): boolean => code === NGHTTP2_NO_ERROR
