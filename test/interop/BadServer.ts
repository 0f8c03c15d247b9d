/**
 * A server that speaks HTTP/2 badly, as the official negative test server does, one behaviour for each call.
 *
 * It stands on `node:http2`, because no gRPC server can be told to do these things.
 */
import { create, toBinary } from "@bufbuild/protobuf"
import { Effect, type Scope } from "effect"
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { SimpleResponseSchema } from "../gen/interop_pb.ts"
import { large, zeros } from "./vectors.ts"

/** Answers one call, whose request has come. */
export type Behaviour = (stream: http2.ServerHttp2Stream, session: http2.ServerHttp2Session) => void

export interface BadServer {
  readonly address: string
  /** Connections it has seen. */
  readonly sessions: () => number
  /** The most calls that were open at one time. */
  readonly mostOpen: () => number
  /** Waits until no connection is open. */
  readonly deserted: Effect.Effect<void>
}

const bytes = toBinary(SimpleResponseSchema, create(SimpleResponseSchema, { payload: zeros(large.response) }))
const message = Buffer.concat([Buffer.alloc(5), bytes])
message.writeUInt32BE(bytes.length, 1)
const half = message.subarray(0, message.length / 2)

const begin = (stream: http2.ServerHttp2Stream): void =>
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })

const succeed = (stream: http2.ServerHttp2Stream): void => {
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
  stream.end(message)
}

/** As a good server would. */
export const well: Behaviour = (stream) => {
  begin(stream)
  succeed(stream)
}

/** The connection takes no more calls; this one is answered. */
export const goaway: Behaviour = (stream, session) => {
  session.goaway(http2.constants.NGHTTP2_NO_ERROR, stream.id)
  well(stream, session)
}

/** Never looks at the call. */
export const refuse: Behaviour = (stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)

type Reset = (code: number) => Behaviour

/** Not in the tick of the headers: Node 24 ends a stream that has sent nothing else with code 0, whatever it is told. */
export const rstAfterHeader: Reset = (code) => (stream) => {
  begin(stream)
  setImmediate(() => stream.close(code))
}

export const rstDuringData: Reset = (code) => (stream) => {
  begin(stream)
  stream.write(half, () => stream.close(code))
}

export const rstAfterData: Reset = (code) => (stream) => {
  begin(stream)
  stream.write(message, () => stream.close(code))
}

/** Goes on only when a ping has been acknowledged: before the headers, before the message and after half of it. */
export const ping: Behaviour = (stream, session) =>
  void session.ping(() => {
    begin(stream)
    session.ping(() => {
      stream.write(half)
      session.ping(() => {
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
        stream.end(message.subarray(half.length))
      })
    })
  })

/** Serves calls in the order they come, each by its behaviour and all further ones by the last. */
export const make = (
  behaviours: readonly [Behaviour, ...Array<Behaviour>],
  settings: http2.Settings = {}
): Effect.Effect<BadServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<BadServer & { readonly close: Effect.Effect<void> }>((resume) => {
      const sessions = new Set<http2.ServerHttp2Session>()
      let seen = 0
      let calls = 0
      let open = 0
      let mostOpen = 0
      const server = http2.createServer({ settings })
      server.on("session", (session) => {
        seen++
        sessions.add(session.on("close", () => sessions.delete(session)))
      })
      server.on("stream", (stream) => {
        mostOpen = Math.max(mostOpen, ++open)
        const behaviour = behaviours[Math.min(calls++, behaviours.length - 1)]!
        // What it does to its calls comes back to it as errors.
        stream.on("error", () => {}).on("close", () => open--)
        stream.resume().on("end", () => {
          if (!stream.destroyed) behaviour(stream, stream.session as http2.ServerHttp2Session)
        })
      })
      const close = Effect.callback<void>((resume) => {
        for (const session of sessions) session.destroy()
        server.close(() => resume(Effect.void))
      })
      const deserted = Effect.callback<void>((resume) => {
        const look = () => void (sessions.size === 0 && resume(Effect.void))
        for (const session of sessions) session.once("close", look)
        look()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
        resume(Effect.succeed({ address, sessions: () => seen, mostOpen: () => mostOpen, deserted, close }))
      })
    }),
    ({ close }) => close
  )
