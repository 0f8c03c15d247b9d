/**
 * HTML from untrusted text.
 *
 * Names of endpoints, error messages and metadata come from other machines. Here text becomes HTML in one place, which
 * escapes everything that it has not made itself, so a page cannot forget to. Attributes are written with double quotes;
 * within them and between tags the same escaping holds.
 */

/** A piece of HTML that is known to be well formed. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** What a template takes: text to escape, HTML to keep, lists of these, and nothing. */
export type Piece = Html | string | number | undefined | ReadonlyArray<Piece>

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;"
}

/** Controls, and what turns or hides the text around it. What joins letters and emoji may stay. */
const invisible = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu

/** Text that stays text between tags and in a quoted attribute. */
export const escape = (text: string): string =>
  text.replace(invisible, "\ufffd").replace(/[&<>"'`]/g, (character) => entities[character]!)

const write = (piece: Piece): string => {
  if (piece === undefined) return ""
  if (piece instanceof Html) return piece.text
  if (typeof piece === "number" || typeof piece === "string") return escape(String(piece))
  return piece.map(write).join("")
}

/** A template of HTML; whatever is put into it is text unless it is `Html`. */
export const html = (strings: TemplateStringsArray, ...pieces: ReadonlyArray<Piece>): Html =>
  new Html(strings.map((string, i) => string + write(pieces[i])).join(""))

/** The most characters of a name or message that are shown. */
const maxCharacters = 240

/** Text that stays apart from the text around it, in whatever direction it is written, and is not too long. */
export const shown = (text: string): Html => {
  const characters = [...text]
  const short = characters.length <= maxCharacters ? text : `${characters.slice(0, maxCharacters - 1).join("")}…`
  return html`<bdi>${short}</bdi>`
}
