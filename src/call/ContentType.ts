/**
 * The content types of gRPC: `application/grpc`, and with a subtype that says how messages are written, such as
 * `application/grpc+json`.
 *
 * A client says what its method's codec writes. A server answers in the type it was asked in, answers what is not gRPC
 * with HTTP 415, and refuses a subtype that its method does not read. It reads two types whatever the codec: the plain one,
 * which says nothing, and `+proto`, because libraries that do not know what a message is (grpc-js's server among them)
 * say that of every message.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import * as RpcError from "../status/RpcError.ts"
import type * as Method from "./Method.ts"

const plain = "application/grpc"
const proto = `${plain}+proto`

/** A media type, its subtype behind a plus, and parameters, which mean nothing to gRPC. */
const grpc = /^application\/grpc(?:\+([!#$%&'*.^_`|~0-9a-z-]+))?\s*(?:;.*)?$/i

/** What may stand behind the plus. */
const token = /^[!#$%&'*.^_`|~0-9a-z-]+$/i

/**
 * Whether a text can be a subtype: a token of HTTP.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSubtype = (text: string): boolean => token.test(text)

/**
 * The subtype of a content type in lower case, empty for the plain type; `undefined` for what is not gRPC, such as
 * `application/grpc-web`. Upper and lower case are the same, as in every media type.
 *
 * @category conversions
 * @since 0.1.0
 */
export const subtypeOf = (field: string | undefined): string | undefined => {
  // What nearly every peer sends.
  if (field === proto) return "proto"
  if (field === plain) return ""
  const match = field === undefined ? null : grpc.exec(field)
  return match === null ? undefined : (match[1] ?? "").toLowerCase()
}

/**
 * The content type of a subtype.
 *
 * @category conversions
 * @since 0.1.0
 */
export const make = (subtype: string): string =>
  subtype === "proto" ? proto : subtype === "" ? plain : `${plain}+${subtype}`

const subtype = (codec: { readonly subtype?: string | undefined }): string => codec.subtype ?? "proto"

/**
 * The content type of a method's requests.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofRequests = (method: Method.Any): string => make(subtype(method.request))

/**
 * The content type of a method's responses, for a server that does not see what its client asked in.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofResponses = (method: Method.Any): string => make(subtype(method.response))

/**
 * Why a method's requests cannot be of this subtype: `UNIMPLEMENTED`, as a message encoding that is not known.
 *
 * @category checks
 * @since 0.1.0
 */
export const refusal = (method: Method.Any, asked: string): RpcError.RpcError | undefined => {
  const read = subtype(method.request)
  if (asked === "" || asked === "proto" || asked === read.toLowerCase()) return undefined
  return RpcError.make("UNIMPLEMENTED", `${method.path} reads ${make(read)} and not ${make(asked)}`, {
    method: method.path
  })
}
