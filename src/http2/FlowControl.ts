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

/**
 * What a session may hold, in Node's unit of 10^6 bytes: no limit. At its own limit of 10 Node resets calls that did
 * nothing wrong, and says it was the server. What bounds memory instead: what a stream may be sent before it is read
 * (`streamWindow`), the largest message that is read, and on the sending side the messages of the calls under way, whose
 * number and size their caller bounds.
 */
export const sessionMemory: number = 2 ** 32 - 1
