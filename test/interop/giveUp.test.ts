/** A call given up in the tick it begins, which Node would never close: see `cancel` in src/grpcjs/GrpcCall.ts. */
import { it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { Balancer, Client, PickFirst, StaticDiscovery } from "trunkline"
import { TestService } from "../gen/interop_pb.ts"
import { adapters } from "../support/adapters.ts"
import * as BadServer from "./BadServer.ts"

it.live.each(adapters)("a call given up in the tick it begins leaves no connection behind: $name", ({ connector }) =>
  Effect.gen(function* () {
    const server = yield* BadServer.make([BadServer.well])
    yield* Effect.gen(function* () {
      const pool = Balancer.layer({ discovery: StaticDiscovery.make([server.address]), picker: PickFirst.make() })
      const transport = yield* Layer.build(Layer.provide(pool, connector()))
      const test = yield* Effect.provideContext(Client.make(TestService), transport)
      yield* test.unaryCall({})
      const call = yield* Effect.forkChild(test.streamingInputCall(Stream.never), { startImmediately: true })
      yield* Fiber.interrupt(call)
      // Without a call after it even Node notices.
      yield* test.unaryCall({})
    }).pipe(Effect.scoped)
    yield* Effect.timeout(server.deserted, "2 seconds")
  })
)
