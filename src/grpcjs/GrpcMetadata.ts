/**
 * Metadata to and from grpc-js.
 */
import * as grpc from "@grpc/grpc-js"
import type { Call } from "../call/Call.ts"
import type { Metadata, Value } from "../call/Metadata.ts"
import { isOwned } from "../call/MetadataField.ts"

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

/** Metadata as the rest of the house knows it. */
export const fromGrpc = (metadata: grpc.Metadata): Metadata => {
  const out = new Map<string, ReadonlyArray<Value>>()
  for (const key of Object.keys(metadata.getMap())) if (!isOwned(key)) out.set(key, metadata.get(key))
  return out
}
