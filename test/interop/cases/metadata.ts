/** Metadata there and back. */
import { Effect, Stream } from "effect"
import { CallOptions, Metadata } from "trunkline"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import { echo, large, zeros } from "../vectors.ts"

interface Answer {
  readonly headers: Metadata.Metadata
  readonly trailers: Metadata.Metadata
}

const bytesOf = (value: Metadata.Value | undefined): ReadonlyArray<number> | string =>
  value instanceof Uint8Array ? [...value] : String(value)

const echoed = (kind: string, { headers, trailers }: Answer) =>
  Effect.andThen(
    Expect.equal(`headers, ${kind}`, Metadata.get(headers, echo.initialKey), echo.initial),
    Expect.equal(`trailers, ${kind}`, bytesOf(Metadata.get(trailers, echo.trailingKey)), [...echo.trailing])
  )

export const customMetadata = Effect.fnUntraced(
  function* ({ test }: Peer) {
    const payload = zeros(large.request)
    yield* echoed("unary", yield* test.unaryCall.response({ responseSize: large.response, payload }))

    const request = { payload, responseParameters: [{ size: large.response }] }
    const response = yield* test.fullDuplexCall.response(Stream.make(request))
    const headers = yield* response.headers
    yield* Stream.runDrain(response.messages)
    yield* echoed("full duplex", { headers, trailers: yield* response.trailers })
  },
  CallOptions.withMetadata({ [echo.initialKey]: echo.initial, [echo.trailingKey]: echo.trailing }),
  Effect.scoped
)
