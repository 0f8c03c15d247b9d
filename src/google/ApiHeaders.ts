/**
 * The request headers of Google's APIs: which client sends a request, and where the request is routed.
 */
import { Function } from "effect"
import * as Metadata from "../call/Metadata.ts"

const apiClientKey = "x-goog-api-client"
const routingKey = "x-goog-request-params"
const tokenName = /^[\x21-\x2e\x30-\x7e]+$/
const tokenVersion = /^[\x21-\x7e]*$/

/**
 * Adds `name/version` tokens to `x-goog-api-client`, after those that it has. A name occurs once; given again it keeps its
 * position and takes the new version. Throws `MetadataError` for a token that is not printable ASCII without spaces.
 *
 * @example
 * import { Metadata } from "trunkline"
 * import { ApiHeaders } from "trunkline/google"
 *
 * const metadata = ApiHeaders.apiClient(Metadata.makeUnsafe({ "x-goog-api-client": "gl-node/20.1.0" }), {
 *   gapic: "2.0.0",
 *   grpc: "1.14.7"
 * })
 * Metadata.get(metadata, "x-goog-api-client") // => "gl-node/20.1.0 gapic/2.0.0 grpc/1.14.7"
 *
 * @category combinators
 * @since 0.1.0
 */
export const apiClient: {
  (versions: Readonly<Record<string, string>>): (self: Metadata.Metadata) => Metadata.Metadata
  (self: Metadata.Metadata, versions: Readonly<Record<string, string>>): Metadata.Metadata
} = Function.dual(2, (self: Metadata.Metadata, versions: Readonly<Record<string, string>>): Metadata.Metadata => {
  const given = Object.entries(versions)
  if (!given.every(([name, version]) => tokenName.test(name) && tokenVersion.test(version))) {
    const problem = "a token is name/version in printable ASCII without spaces"
    throw new Metadata.MetadataError({ key: apiClientKey, problem })
  }
  const tokens = new Map<string, string>()
  for (const token of Metadata.getAll(self, apiClientKey).join(" ").split(/\s+/)) {
    if (token !== "") tokens.set(token.split("/", 1)[0]!, token)
  }
  for (const [name, version] of given) tokens.set(name, `${name}/${version}`)
  return tokens.size === 0 ? self : new Map(self).set(apiClientKey, [[...tokens.values()].join(" ")])
})

/** RFC 6570, simple string expansion: every character that is not unreserved is encoded. */
const percentEncode = (text: string): string =>
  encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd")).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`
  )

/**
 * The fields of a request by which it is routed, by their paths.
 *
 * @category models
 * @since 0.1.0
 */
export type RoutingFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>

/**
 * Sets `x-goog-request-params`, so that a proxy can route a request without reading its message. Keys and values are
 * percent-encoded. Unset and empty fields are left out; without any other field the metadata does not change.
 *
 * @see https://google.aip.dev/client-libraries/4222
 * @example
 * import { Metadata } from "trunkline"
 * import { ApiHeaders } from "trunkline/google"
 *
 * const metadata = ApiHeaders.routing(Metadata.empty, { parent: "projects/acme", "book.read": true })
 * Metadata.get(metadata, "x-goog-request-params") // => "parent=projects%2Facme&book.read=true"
 *
 * @category combinators
 * @since 0.1.0
 */
export const routing: {
  (fields: RoutingFields): (self: Metadata.Metadata) => Metadata.Metadata
  (self: Metadata.Metadata, fields: RoutingFields): Metadata.Metadata
} = Function.dual(2, (self: Metadata.Metadata, fields: RoutingFields): Metadata.Metadata => {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([field, value]) => `${percentEncode(field)}=${percentEncode(String(value))}`)
  return pairs.length === 0 ? self : new Map(self).set(routingKey, [pairs.join("&")])
})
