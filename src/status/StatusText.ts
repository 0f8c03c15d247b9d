/**
 * A status text as it can travel.
 *
 * The text shares a header block with the trailers, so it has room of its own and is cut there: a code without its whole
 * text still says what happened, and a block that is too large says nothing at all.
 */

/** Ends a text that was cut. */
const ellipsis = "..."

/** Any half of a surrogate pair becomes U+FFFD: it is no character, and encoders throw on it. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd")

/** Bytes of a character when everything but plain text is percent-encoded, each byte of its UTF-8 as three. */
const width = (point: number): number => {
  // Encoders differ in which punctuation they leave alone.
  const isPlain =
    (point >= 0x30 && point <= 0x39) || (point >= 0x41 && point <= 0x5a) || (point >= 0x61 && point <= 0x7a)
  if (isPlain) return 1
  return point < 0x80 ? 3 : point < 0x800 ? 6 : point < 0x10000 ? 9 : 12
}

/** The text, or its beginning where percent-encoding all of it would take more than `room` bytes; well-formed. */
export const fit = (text: string, room: number): string => {
  // No unit of a text takes more than nine bytes.
  if (text.length * 9 <= room) return wellFormed(text)
  let used = 0
  let end = 0
  /** Where to cut so that the ellipsis has room. */
  let cut = 0
  for (const character of text) {
    used += width(character.codePointAt(0)!)
    if (used > room) return wellFormed(text.slice(0, cut)) + (room < ellipsis.length * 3 ? "" : ellipsis)
    end += character.length
    if (used + ellipsis.length * 3 <= room) cut = end
  }
  return wellFormed(text)
}

/** The most bytes of text beside trailers of a size; never nothing, as long as servers can send anything. */
export const roomBeside = (trailersSize: number, limit: number): number => Math.max(limit - trailersSize, leastRoom)

/** What the protocol's own fields and a short text may take above a limit of metadata. */
const leastRoom = 1024
