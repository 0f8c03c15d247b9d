/**
 * How messages are compressed on the wire.
 *
 * An encoding belongs to a call: the client names one for its requests, the handler one for its responses. Whether a
 * message uses it is said message by message, so one that gains nothing, or mixes a secret with text an attacker chose
 * (CRIME, BREACH), can be left as it is. Compression is the wire's own business: a transport that has none, such as the
 * network in memory, carries the same messages without it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/compression.md
 */

/**
 * An encoding every implementation of gRPC may know. `deflate` is zlib's format (RFC 1950), as gRPC has it.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoding = "identity" | "gzip" | "deflate"

/**
 * The encodings, as `grpc-accept-encoding` lists them.
 *
 * @category constants
 * @since 0.1.0
 */
export const encodings: ReadonlyArray<Encoding> = ["identity", "deflate", "gzip"]

/**
 * Whether a name from the wire is an encoding known here.
 *
 * @category guards
 * @since 0.1.0
 */
export const isEncoding = (name: string): name is Encoding => (encodings as ReadonlyArray<string>).includes(name)

const leftAsTheyAre = new WeakSet<object>()
const cameCompressed = new WeakSet<object>()

/**
 * Has this one message sent without compression, whatever the encoding of its call. Returns the message.
 *
 * @example
 * import { Compression } from "trunkline"
 *
 * const photo = Compression.uncompressed({ jpeg: new Uint8Array(1024) })
 * Compression.isUncompressed(photo) // => true
 *
 * @category combinators
 * @since 0.1.0
 */
export const uncompressed = <A extends object>(message: A): A => {
  leftAsTheyAre.add(message)
  return message
}

/**
 * Whether a message is to be sent without compression.
 *
 * @category getters
 * @since 0.1.0
 */
export const isUncompressed = (message: unknown): boolean => leftAsTheyAre.has(message as object)

/**
 * Whether a message that arrived was compressed on the wire.
 *
 * @category getters
 * @since 0.1.0
 */
export const arrivedCompressed = (message: unknown): boolean => cameCompressed.has(message as object)

/** Remembers that a message, or the bytes of one, came compressed. @internal */
export const markArrived = <A>(message: A): A => {
  if (typeof message === "object" && message !== null) cameCompressed.add(message)
  return message
}
