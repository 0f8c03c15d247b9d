/**
 * What a connection tells its user.
 */
import type { ConnectionError } from "./ErrorCode.ts"
import type { Stream } from "./Stream.ts"

/** Which side of the connection this is. */
export type Role = "client" | "server"

/** What a connection tells its user. A handler may give commands; it must not throw. */
export interface Events<T> {
  /** The peer has opened a stream; what is returned becomes its context. Its headers follow. */
  readonly opened: (streamId: number) => T
  /** A request, a response or trailers: names and values by turns. `tooLong` says that the list was cut at the limit. */
  readonly headers: (stream: Stream<T>, fields: ReadonlyArray<string>, endStream: boolean, tooLong: boolean) => void
  /** Data. The bytes are the driver's: they are only good until this returns. */
  readonly data: (stream: Stream<T>, bytes: Uint8Array, endStream: boolean) => void
  /** The stream is over before its end: the peer has reset it, or had to be told that it broke the protocol. */
  readonly reset: (stream: Stream<T>, code: number, reason: string, byPeer: boolean) => void
  /** The peer has not looked at the stream and will not: it said goodbye before. */
  readonly refused: (stream: Stream<T>, code: number) => void
  /** What was queued on the stream has been written. */
  readonly writable: (stream: Stream<T>) => void
  /** The peer has announced settings; they are in `peer`. */
  readonly settings: () => void
  /** The peer takes no more streams than those up to `lastStreamId`. */
  readonly goaway: (lastStreamId: number, code: number, debug: string) => void
  /** An answer to a ping. */
  readonly pong: (payload: Uint8Array) => void
  /** The connection is over. What there is to send says so to the peer; then the driver closes the socket. */
  readonly failed: (error: ConnectionError) => void
}
