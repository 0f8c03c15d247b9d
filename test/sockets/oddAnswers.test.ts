/** Answers that are hardly gRPC's mean the same over both adapters, and none of them is OK. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type * as http2 from "node:http2"
import { RpcError } from "trunkline"
import { adapters } from "../support/adapters.ts"
import * as Raw from "../support/rawFrames.ts"
import { clientOf } from "../support/socketClient.ts"

const grpc = { ":status": 200, "content-type": "application/grpc" }

/** Status and nothing else. */
const only =
  (fields: http2.OutgoingHttpHeaders): Raw.Answer =>
  (stream) =>
    stream.respond({ ...grpc, ...fields }, { endStream: true })

/** Headers, and a status in trailers. */
const after =
  (headers: http2.OutgoingHttpHeaders, trailers: http2.OutgoingHttpHeaders): Raw.Answer =>
  (stream) => {
    stream.respond(headers, { waitForTrailers: true })
    stream.on("wantTrailers", () => stream.sendTrailers(trailers))
    stream.end()
  }

const answers: ReadonlyArray<readonly [string, Raw.Answer, string, string]> = [
  ["an empty status", only({ "grpc-status": "" }), "UNKNOWN", "no number"],
  ["a hexadecimal status", only({ "grpc-status": "0x0" }), "UNKNOWN", "no number"],
  ["a negative status", after(grpc, { "grpc-status": "-1" }), "UNKNOWN", "no number"],
  ["a status with a fraction", after(grpc, { "grpc-status": "0.0" }), "UNKNOWN", "no number"],
  ["a status nobody knows", only({ "grpc-status": "99", "grpc-message": "odd" }), "UNKNOWN", "odd"],
  ["a status without a text", only({ "grpc-status": "5" }), "NOT_FOUND", ""],
  ["an empty text", after(grpc, { "grpc-status": "5", "grpc-message": "" }), "NOT_FOUND", ""],
  ["escapes that are none", only({ "grpc-status": "5", "grpc-message": "100% %zz" }), "NOT_FOUND", "100% %zz"],
  ["HTTP's error", after({ ":status": 500 }, { "grpc-status": "0" }), "UNKNOWN", "HTTP status 500"],
  ["a gateway's error", after({ ":status": 502, "content-type": "text/html" }, {}), "UNAVAILABLE", "HTTP status 502"],
  ["gRPC's other dialect", after({ ...grpc, "content-type": "application/grpc-web" }, {}), "UNKNOWN", "grpc-web"]
]

describe.each(adapters)("$name", (adapter) => {
  it.live.each(answers)("%s", ([, answer, code, text]) =>
    Effect.gen(function* () {
      const server = yield* Raw.serve(answer)
      const client = yield* clientOf(adapter, [server.address])
      for (const call of [client.echo({}), Stream.runDrain(client.expand({}))]) {
        const error = yield* Effect.flip(call)
        assert(RpcError.isRpcError(error))
        assert.deepStrictEqual([error.code, error.origin], [code, "remote"])
        if (text === "") assert.strictEqual(error.reason.message, "")
        else assert.include(error.reason.message, text)
      }
    })
  )
})
