/** The cases of calls that end with a status the server chose. */
import { Effect, Stream } from "effect"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import * as Vectors from "../vectors.ts"

export const statusCodeAndMessage = Effect.fnUntraced(function* ({ test }: Peer) {
  const request = { responseStatus: { code: Vectors.statusCode, message: Vectors.statusMessage } }
  yield* Expect.status("unary", test.unaryCall(request), "UNKNOWN", Vectors.statusMessage)
  const duplex = Stream.runDrain(test.fullDuplexCall(Stream.make(request)))
  yield* Expect.status("full duplex", duplex, "UNKNOWN", Vectors.statusMessage)
})

export const specialStatusMessage = ({ test }: Peer) => {
  const request = { responseStatus: { code: Vectors.statusCode, message: Vectors.specialMessage } }
  return Expect.status("unary", test.unaryCall(request), "UNKNOWN", Vectors.specialMessage)
}

export const unimplementedMethod = ({ test }: Peer) =>
  Expect.status("a method nobody serves", test.unimplementedCall({}), "UNIMPLEMENTED")

export const unimplementedService = ({ unimplemented }: Peer) =>
  Expect.status("a service nobody serves", unimplemented.unimplementedCall({}), "UNIMPLEMENTED")
