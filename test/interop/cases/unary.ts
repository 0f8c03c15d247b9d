/** The cases of unary calls. */
import { Effect } from "effect"
import type { Client } from "trunkline"
import type { TestService } from "../../gen/interop_pb.ts"
import * as Expect from "../expect.ts"
import type { Peer } from "../Peer.ts"
import * as Vectors from "../vectors.ts"

export const emptyUnary = ({ test }: Peer) => test.emptyCall({})

/** A unary call of these sizes, and a look at its payload. */
export const unaryOf = Effect.fnUntraced(function* (
  test: Client.Client<typeof TestService>,
  sizes: { readonly request: number; readonly response: number }
) {
  const response = yield* test.unaryCall({ responseSize: sizes.response, payload: Vectors.zeros(sizes.request) })
  yield* Expect.payload(response.payload, sizes.response)
})

export const largeUnary = ({ test }: Peer) => unaryOf(test, Vectors.large)

export const veryLargeRequest = ({ test }: Peer) => unaryOf(test, Vectors.veryLarge)

export const concurrentLargeUnary = ({ concurrentCalls, test }: Peer) =>
  Effect.all(
    Array.from({ length: concurrentCalls }, () => unaryOf(test, Vectors.large)),
    { concurrency: "unbounded", discard: true }
  )

/** Every call goes to one server, however many the name has. */
export const pickFirstUnary = Effect.fnUntraced(function* ({ test }: Peer) {
  const ids = new Set<string>()
  for (let i = 0; i < Vectors.pickFirstCalls; i++) {
    const { serverId } = yield* test.unaryCall({ responseSize: 1, fillServerId: true })
    ids.add(serverId)
  }
  yield* Expect.equal("servers that say who they are", ids.delete(""), false)
  yield* Expect.equal("servers that answered", ids.size, 1)
})
