/**
 * Corrects the header fields of answers before grpc-js reads them.
 *
 * grpc-js takes a `grpc-status` that is empty or hexadecimal for a number, so that what is no status becomes OK. It decodes
 * `grpc-message` as a URI, in which some escapes stand for themselves. It takes whatever comes for gRPC. And it reads Node's
 * object of fields, where several values of one name have become one text. Node gives every listener the same object, and the
 * fields as they came; this listener is the first.
 */
import { constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from "node:http2"
import * as ContentType from "../call/ContentType.ts"
import { decodeMessage } from "../session/WireStatus.ts"

type Fields = IncomingHttpHeaders & IncomingHttpStatusHeader

/** Set on an answer that is not gRPC's: its HTTP status. */
export const notGrpc = "trunkline-not-grpc"

const number = /^\d{1,3}$/
const unknown = "2"

const correctStatus = (fields: Fields): void => {
  const status = fields["grpc-status"]
  if (status === undefined) return
  if (typeof status !== "string" || !number.test(status)) {
    fields["grpc-status"] = unknown
    fields["grpc-message"] ??= encodeURI(`the server's grpc-status is no number: ${JSON.stringify(status)}`)
  }
  const message = fields["grpc-message"]
  if (typeof message === "string" && message.includes("%")) fields["grpc-message"] = encodeURI(decodeMessage(message))
}

/** Names that came more than once, and are lists. */
export const split = (fields: IncomingHttpHeaders, raw: ReadonlyArray<string>): void => {
  let names = 0
  for (const _ in fields) names++
  if (names * 2 === raw.length) return
  const all = new Map<string, Array<string>>()
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const values = all.get(raw[index]!)
    if (values === undefined) all.set(raw[index]!, [raw[index + 1]!])
    else values.push(raw[index + 1]!)
  }
  for (const [name, values] of all) {
    // Node leaves out the second value of a field that may have one.
    const joined = values.length > 1 && fields[name] === values.join(", ")
    if (joined && !name.startsWith(":") && !name.startsWith("grpc-")) fields[name] = values
  }
}

/** Corrects the headers of an answer. */
export const onResponse = (fields: Fields, flags: number, raw: ReadonlyArray<string>): void => {
  if (fields["grpc-status"] === undefined && (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0) {
    const isGrpc = fields[":status"] === 200 && ContentType.subtypeOf(fields["content-type"]) !== undefined
    if (!isGrpc) fields[notGrpc] = String(fields[":status"])
  } else correctStatus(fields)
  split(fields, raw)
}

/** Corrects trailers. */
export const onTrailers = (fields: Fields, _flags: number, raw: ReadonlyArray<string>): void => {
  correctStatus(fields)
  split(fields, raw)
}
