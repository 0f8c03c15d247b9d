/**
 * Metadata to and from grpc-js.
 */
import * as grpc from "@grpc/grpc-js"
import type { Call } from "../call/Call.ts"
import type { Metadata, Value } from "../call/Metadata.ts"

/** grpc-js copies what it is given before it adds to it, so every call without metadata can share this one. */
const none = new grpc.Metadata()

const toBuffer = (value: Value): grpc.MetadataValue =>
  typeof value === "string" ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)

/** Metadata as grpc-js wants it. */
export const toGrpc = (metadata: Metadata): grpc.Metadata => {
  if (metadata.size === 0) return none
  const out = new grpc.Metadata()
  for (const [key, values] of metadata) for (const value of values) out.add(key, toBuffer(value))
  return out
}

/** The request headers of an attempt: the caller's, and from the second attempt on how many came before. */
export const ofCall = (call: Call): grpc.Metadata => {
  const metadata = toGrpc(call.options.metadata)
  if (call.attempt === 1) return metadata
  const out = metadata.clone()
  out.set("grpc-previous-rpc-attempts", String(call.attempt - 1))
  return out
}

/** Headers of the transport, not of the call. */
const transportKeys: ReadonlySet<string> = new Set(["content-type", "date", "grpc-encoding", "grpc-accept-encoding"])

/** Metadata as the rest of the house knows it. */
export const fromGrpc = (metadata: grpc.Metadata): Metadata => {
  const out = new Map<string, ReadonlyArray<Value>>()
  for (const key of Object.keys(metadata.getMap())) if (!transportKeys.has(key)) out.set(key, metadata.get(key))
  return out
}

/** Bytes of a header block above which Node sends nothing and tells nobody. */
const largestBlock = 60_000

/** What metadata takes as headers; bytes travel as base64. */
const blockSize = (metadata: Metadata): number => {
  let size = 0
  for (const [key, values] of metadata) {
    for (const value of values)
      size += key.length + 32 + (typeof value === "string" ? value.length : value.length * 1.34)
  }
  return size
}

/** Trailers as grpc-js wants them. What cannot be sent is left out, so that at least the status arrives. */
export const trailersToGrpc = (trailers: Metadata): grpc.Metadata =>
  blockSize(trailers) > largestBlock ? none : toGrpc(trailers)
