/**
 * HTTP/2's error codes, as RST_STREAM and GOAWAY carry them.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-7
 */

/** The codes by their names. */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13
} as const

/** A code of RFC 9113. A peer may send others, so what arrives is a plain number. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

/**
 * The connection cannot go on: the peer broke the protocol, or a limit that protects this side. `limit` names the option
 * that was exceeded.
 */
export class ConnectionError {
  readonly _tag = "ConnectionError"
  readonly code: ErrorCode
  readonly message: string
  readonly limit: string | undefined

  constructor(code: ErrorCode, message: string, limit?: string) {
    this.code = code
    this.message = message
    this.limit = limit
  }
}

/** One stream cannot go on; the others can. */
export class StreamError {
  readonly _tag = "StreamError"
  readonly streamId: number
  readonly code: ErrorCode
  readonly message: string

  constructor(streamId: number, code: ErrorCode, message: string) {
    this.streamId = streamId
    this.code = code
    this.message = message
  }
}
