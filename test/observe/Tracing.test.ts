import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schedule, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import {
  CallOptions,
  Client,
  ErrorDetails,
  Handlers,
  Hedge,
  Interceptor,
  Retry,
  RpcError,
  Tracing,
  Transport
} from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { clientOf, ending, recorder, tree } from "./spans.ts"

const name = "echo.EchoService/Echo"

/** Serves echo with a handler of the test's own for the unary method. */
const handling = (echo: Handlers.Implementation<typeof EchoService, never>["echo"]) =>
  Handlers.make(EchoService, {
    echo,
    lookup: () => Effect.succeed({}),
    expand: () => Stream.empty,
    collect: () => Effect.succeed({}),
    chat: () => Stream.empty
  })

const serve = (address: string, handlers: Handlers.Handlers = echoHandlers(address)) =>
  Effect.flatMap(TestNetwork.TestNetwork, (network) => network.serve(address, { handlers: [handlers] }))

/** Fails so many times, then answers. */
const failing = (times: number, error: RpcError.RpcError) => {
  let left = times
  return handling(() => (left-- > 0 ? Effect.fail(error) : Effect.succeed({})))
}

const unavailable = RpcError.make("UNAVAILABLE", "later")
const twice = Retry.onCodes(["UNAVAILABLE"], Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(3)]))

const traced = <A, E>(
  f: (spans: ReturnType<typeof recorder>) => Effect.Effect<A, E, TestNetwork.TestNetwork | never>
) => {
  const spans = recorder()
  return Effect.suspend(() => f(spans)).pipe(Effect.provide(Layer.merge(TestNetwork.layer, spans.layer)))
}

describe("Tracing", () => {
})
