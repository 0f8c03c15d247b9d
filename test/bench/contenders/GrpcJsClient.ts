/** The baseline: grpc-js as it is used without a library, on one connection. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import * as grpc from "@grpc/grpc-js"
import { Effect } from "effect"
import { type EchoRequest, EchoRequestSchema, EchoResponseSchema } from "../../gen/echo_pb.ts"
import { callbacks, type Contender } from "../Contender.ts"
import { deadlineMillis, problemWith, request } from "../work.ts"

const path = "/trunkline.test.EchoService/Echo"

const serialize = (message: EchoRequest): Buffer => {
  const bytes = toBinary(EchoRequestSchema, message)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const deserialize = (bytes: Buffer) => fromBinary(EchoResponseSchema, bytes)

/** What a connection of ours turns off is off here too, so that nothing is won by a default. */
const channelOptions = { "grpc.enable_channelz": 0, "grpc.service_config_disable_resolution": 1 }

export const grpcJsClient: Contender = {
  name: "grpc-js Client",
  about: "one connection, a deadline",
  open: (targets) =>
    Effect.gen(function* () {
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new grpc.Client(targets[0]!, grpc.credentials.createInsecure(), channelOptions)),
        (client) => Effect.sync(() => client.close())
      )
      return callbacks((done) => {
        client.makeUnaryRequest(
          path,
          serialize,
          deserialize,
          create(EchoRequestSchema, request),
          new grpc.Metadata(),
          { deadline: Date.now() + deadlineMillis },
          (error, response) => done(error ?? problemWith(response))
        )
      })
    })
}
