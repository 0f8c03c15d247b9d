/**
 * The last word of a served call, as any wire can send it.
 *
 * Whatever the handler said, the code arrives: trailers that no header can be are left out, and so are the largest ones
 * where all are too large for a header block; a text without room is cut.
 */
import { Exit } from "effect"
import type * as Metadata from "../call/Metadata.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import * as StatusText from "../status/StatusText.ts"

/**
 * A status that fits.
 *
 * @category models
 * @since 0.1.0
 */
export interface FinalStatus {
  readonly code: Code.Status
  /** Well-formed, and short enough when percent-encoded. */
  readonly message: string
  readonly trailers: Metadata.Metadata
}

/**
 * The status with what can be sent of its text and trailers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (status: FinalStatus, maxMetadataBytes: number): FinalStatus => {
  const trailers = MetadataLimit.fit(status.trailers, maxMetadataBytes)
  if (status.message === "") return { code: status.code, message: "", trailers }
  const room = StatusText.roomBeside(MetadataLimit.sizeOf(trailers), maxMetadataBytes)
  return { code: status.code, message: StatusText.fit(status.message, room), trailers }
}

/**
 * The status of a call that ended so. Only two interrupt a call from outside: a client that left, which hears of nothing any
 * more, and a server that stops.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromExit = (
  exit: Exit.Exit<Metadata.Metadata, RpcError.RpcError>,
  maxMetadataBytes: number
): FinalStatus => {
  if (Exit.isSuccess(exit)) return make({ code: "OK", message: "", trailers: exit.value }, maxMetadataBytes)
  if (Exit.hasInterrupts(exit)) return shuttingDown
  const { code, reason, trailers } = RpcError.fromCause(exit.cause)
  return make({ code, message: reason.message, trailers }, maxMetadataBytes)
}

/**
 * The status of a call that a stopping server ends.
 *
 * @category constants
 * @since 0.1.0
 */
export const shuttingDown: FinalStatus = {
  code: "UNAVAILABLE",
  message: "the server is shutting down",
  trailers: new Map()
}
