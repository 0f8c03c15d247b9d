/**
 * Text from other processes, fit to be read.
 *
 * A status text is what somebody else's program wrote: it may end a line and begin a forged one, colour a terminal, or turn
 * the text around it backwards. Where text is built for people such characters are written out, `\n` for a line feed. What
 * joins letters and emoji stays. What programs compare (`reason.message`, metadata) stays as it came.
 */

/** Controls, what turns or hides the text around it, line separators, and halves of characters. */
const unprintable = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const all = new RegExp(unprintable, "gu")

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const written = (character: string): string => {
  const code = character.codePointAt(0)!
  return short[character] ?? (code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`)
}

/** The text with everything written out that would not show as itself. */
export const escape = (text: string): string => (unprintable.test(text) ? text.replace(all, written) : text)

const units = (text: string): string =>
  text.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** `escape` of JSON, which stays JSON of the same value. */
export const escapeJson = (json: string): string => (unprintable.test(json) ? json.replace(all, units) : json)
