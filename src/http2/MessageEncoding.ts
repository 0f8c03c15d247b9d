/**
 * Messages to compressed bytes and back.
 *
 * Compressing happens off the main thread. What comes out of a compressed message is bounded like any other message, so a
 * few bytes can't become a memory full of them.
 */
import { Effect } from "effect"
import { promisify } from "node:util"
import * as zlib from "node:zlib"
import { type Encoding, markArrived } from "../call/Compression.ts"
import { type Frame, frame, FramingProblem } from "./Framing.ts"

type Coder = (bytes: Uint8Array, options: zlib.ZlibOptions) => Promise<Buffer>

const coders: Readonly<Record<Exclude<Encoding, "identity">, { readonly compress: Coder; readonly expand: Coder }>> = {
  gzip: {
    compress: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gzip),
    expand: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip)
  },
  deflate: {
    compress: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.deflate),
    expand: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflate)
  }
}

/** The bytes on the wire of one message, compressed. */
export const compressed = (bytes: Uint8Array, encoding: Exclude<Encoding, "identity">): Effect.Effect<Buffer> =>
  Effect.map(
    Effect.promise(() => coders[encoding].compress(bytes, {})),
    (smaller) => frame(smaller, true)
  )

const isTooLarge = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"

/** The bytes of a message that came compressed, marked so; at most `limit` of them. */
export const expanded = (
  { bytes }: Frame,
  encoding: Encoding,
  limit: number
): Effect.Effect<Uint8Array, FramingProblem> => {
  if (encoding === "identity") {
    return Effect.fail(new FramingProblem("INTERNAL", "a message is compressed and the call names no encoding"))
  }
  const options = limit === Infinity ? {} : { maxOutputLength: Math.max(1, limit) }
  return Effect.map(
    Effect.tryPromise({
      try: () => coders[encoding].expand(bytes, options),
      catch: (error) =>
        isTooLarge(error)
          ? new FramingProblem("RESOURCE_EXHAUSTED", `received message larger than max (${limit}) when expanded`)
          : new FramingProblem("INTERNAL", `a message is not ${encoding}`)
    }),
    markArrived
  )
}
