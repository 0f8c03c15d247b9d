/**
 * How many bytes may be on their way before they are read, on either side of a connection.
 *
 * Calls are bounded in messages, by their windows; a stream whose reader is behind is paused, and what it may still be
 * sent is bounded here. HTTP/2's own default of 64 KiB makes every large message wait for the round trip.
 */

/** Bytes a stream may be sent. */
export const streamWindow: number = 256 * 1024

/** Bytes a connection may be sent. Node gives them back when they arrive, so one slow stream does not hold the others. */
export const connectionWindow: number = 4 * 1024 * 1024
