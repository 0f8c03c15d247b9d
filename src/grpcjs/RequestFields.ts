/**
 * Corrects the header fields of requests before grpc-js reads them, and refuses what is no gRPC request.
 *
 * grpc-js looks at no HTTP method, takes every type that begins with `application/grpc` in lower case, reads timeouts that
 * are none or are longer than Node's timers, and reads Node's object of fields, where several values of one name have become
 * one text. Node hands its listeners one object, which is put right here.
 */
import { constants, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2"
import * as ContentType from "../call/ContentType.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Router } from "../server/Server.ts"
import { encodeMessage } from "../session/WireStatus.ts"
import * as Code from "../status/Code.ts"
import { split } from "./AnswerFields.ts"

/** The longest time Node's timers count; a longer wait is none. */
const longestTimer = 2 ** 31 - 1

/** Why a request is refused: with an HTTP status where it is not gRPC's. */
type Refusal = { readonly httpStatus: number } | { readonly code: Code.Code; readonly message: string }

const single = (field: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof field === "string" ? field : field?.at(-1)

const refusalOf = (fields: IncomingHttpHeaders, router: Router): Refusal | undefined => {
  const subtype = ContentType.subtypeOf(single(fields["content-type"]))
  if (fields[":method"] !== "POST" || subtype === undefined) return { httpStatus: 415 }
  const timeout = single(fields["grpc-timeout"])
  if (timeout !== undefined && Deadline.fromTimeoutHeader(timeout) === undefined) {
    return { code: "INTERNAL", message: "malformed grpc-timeout" }
  }
  const handler = router.get(fields[":path"] ?? "")
  const refusal = handler === undefined ? undefined : ContentType.refusal(handler.method, subtype)
  return refusal === undefined ? undefined : { code: refusal.code, message: refusal.reason.message }
}

/** The fields of an answer that is its status and nothing else. */
const answerOf = (refusal: Refusal, fields: IncomingHttpHeaders) =>
  "httpStatus" in refusal
    ? { ":status": refusal.httpStatus }
    : {
        ":status": 200,
        "content-type": ContentType.make(ContentType.subtypeOf(single(fields["content-type"])) ?? ""),
        "grpc-status": String(Code.toNumber(refusal.code)),
        "grpc-message": encodeMessage(refusal.message)
      }

/** Ends a stream; a listener must not throw, and Node does where the client has left. */
const refuse = (stream: ServerHttp2Stream, refusal: Refusal, fields: IncomingHttpHeaders): void => {
  stream.on("error", () => {})
  try {
    stream.respond(answerOf(refusal, fields), { endStream: true })
  } catch {
    // There is nobody to tell.
  }
  // The client may still be sending.
  stream.close(constants.NGHTTP2_NO_ERROR)
}

const correct = (fields: IncomingHttpHeaders, raw: ReadonlyArray<string>): void => {
  split(fields, raw)
  fields["content-type"] = ContentType.make(ContentType.subtypeOf(single(fields["content-type"])) ?? "")
  const timeout = single(fields["grpc-timeout"])
  if (timeout !== undefined && Deadline.fromTimeoutHeader(timeout)! > longestTimer) delete fields["grpc-timeout"]
}

/** Has every request of a server of grpc-js's come through here. */
export const stand = (server: Http2Server, router: Router): void => {
  const listeners = server.listeners("stream")
  server.removeAllListeners("stream")
  server.on("stream", (stream, fields, flags, raw?: ReadonlyArray<string>) => {
    const refusal = refusalOf(fields, router)
    if (refusal !== undefined) return refuse(stream, refusal, fields)
    correct(fields, raw ?? [])
    for (const listener of listeners) listener.call(server, stream, fields, flags, raw)
  })
}
