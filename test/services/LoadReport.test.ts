import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Result, Stream } from "effect"
import {
  Balancer,
  Client,
  Handlers,
  LoadReport,
  Metadata,
  RoundRobin,
  RpcError,
  type ServerCall,
  StaticDiscovery
} from "trunkline"
import { OrcaLoadReportSchema } from "../../src/services/gen/xds/data/orca/v3/orca_load_report_pb.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

const full: LoadReport.LoadReport = {
  cpuUtilization: 1.25,
  memoryUtilization: 0.5847,
  applicationUtilization: 0.9,
  requestsPerSecond: 1234.5,
  errorsPerSecond: 0.25,
  requestCost: { rows: 3456.32, credit: -2 },
  utilization: { disk: 0.30499 },
  namedMetrics: { queue: 17, balance: -1 }
}

describe("make", () => {
  it("takes every metric, and 0 for those that are not said", () => {
    assert.deepStrictEqual(Result.getOrThrow(LoadReport.make(full)), full)
    assert.deepStrictEqual(Result.getOrThrow(LoadReport.make({})), LoadReport.empty)
    const input = { cpuUtilization: undefined, memoryUtilization: 1, requestCost: undefined }
    assert.deepStrictEqual(Result.getOrThrow(LoadReport.make(input)), { ...LoadReport.empty, memoryUtilization: 1 })
  })

  it.each<[LoadReport.Input, string]>([
    [{ cpuUtilization: -0.1 }, "cpuUtilization: -0.1 is not 0 or more"],
    [{ cpuUtilization: NaN }, "cpuUtilization: NaN is not 0 or more"],
    [{ memoryUtilization: 1.01 }, "memoryUtilization: 1.01 is not between 0 and 1"],
    [{ applicationUtilization: Infinity }, "applicationUtilization: Infinity is not 0 or more"],
    [{ requestsPerSecond: -1 }, "requestsPerSecond: -1 is not 0 or more"],
    [{ errorsPerSecond: -1 }, "errorsPerSecond: -1 is not 0 or more"],
    [{ requestCost: { rows: 1, disk: NaN } }, "requestCost.disk: NaN is not finite"],
    [{ utilization: { disk: 2 } }, "utilization.disk: 2 is not between 0 and 1"],
    [{ namedMetrics: { queue: -Infinity } }, "namedMetrics.queue: -Infinity is not finite"]
  ])("%o names the metric that cannot be", (input, message) => {
    const made = LoadReport.make(input)
    assert(Result.isFailure(made))
    assert.strictEqual(made.failure.message, message)
  })
})

describe("update", () => {
  it("says some metrics anew, down to 0, and keeps the others", () => {
    const updated = LoadReport.update(full, { cpuUtilization: 0, requestCost: { rows: 1, calls: 2 } })
    assert.deepStrictEqual(Result.getOrThrow(updated), {
      ...full,
      cpuUtilization: 0,
      requestCost: { rows: 1, credit: -2, calls: 2 }
    })
  })
})

describe("get", () => {
  const trailer = "endpoint-load-metrics-bin"

  it("reads what was written", () => {
    assert.deepStrictEqual(LoadReport.get(Metadata.of(LoadReport.key, full)), full)
    assert.deepStrictEqual(LoadReport.get(Metadata.of(LoadReport.key, LoadReport.empty)), LoadReport.empty)
  })

  it("finds none where there is none, or none that can be read", () => {
    assert.isUndefined(LoadReport.get(Metadata.empty))
    assert.isUndefined(LoadReport.get(Metadata.makeUnsafe({ [trailer]: Uint8Array.of(0xff) })))
  })

  it("leaves out metrics that cannot be, and takes whole requests from servers that count no fractions", () => {
    const bytes = toBinary(
      OrcaLoadReportSchema,
      create(OrcaLoadReportSchema, {
        cpuUtilization: NaN,
        memUtilization: 1.5,
        applicationUtilization: -1,
        rps: 7n,
        eps: Infinity,
        requestCost: { rows: NaN, disk: 1 },
        utilization: { disk: -1, net: 0.5 },
        namedMetrics: { queue: Infinity, balance: -1 }
      })
    )
    assert.deepStrictEqual(LoadReport.get(Metadata.makeUnsafe({ [trailer]: bytes })), {
      ...LoadReport.empty,
      requestsPerSecond: 7,
      requestCost: { disk: 1 },
      utilization: { net: 0.5 },
      namedMetrics: { balance: -1 }
    })
  })
})

/** A client of a server whose every method does this with the call. */
const clientOf = Effect.fnUntraced(function* (
  wire: Wire,
  run: (call: ServerCall.ServerCall) => Effect.Effect<void, RpcError.RpcError>
) {
  const address = yield* wire.serve([
    Handlers.make(EchoService, {
      echo: (_, call) => Effect.as(run(call), {}),
      lookup: (_, call) => Effect.as(run(call), {}),
      expand: (_, call) => Stream.fromEffect(Effect.as(run(call), {})),
      collect: (_, call) => Effect.as(run(call), {}),
      chat: (_, call) => Stream.fromEffect(Effect.as(run(call), {}))
    })
  ])
  const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
  const context = yield* Layer.build(Layer.orDie(pool))
  return yield* Effect.provide(Client.make(EchoService), Context.merge(Context.empty(), context))
})

for (const wire of wires) {
  describe(`record ${wire.name}`, () => {
    const twice = (call: ServerCall.ServerCall) =>
      Effect.andThen(
        LoadReport.record(call, { cpuUtilization: 0.5, requestCost: { rows: 1 } }),
        LoadReport.record(call, { cpuUtilization: 0.25, requestCost: { disk: 2 } })
      )
    const recorded = { ...LoadReport.empty, cpuUtilization: 0.25, requestCost: { rows: 1, disk: 2 } }

    wire.it("is in the trailers of a unary call and of a stream, with all that was recorded", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, twice)
        const { trailers } = yield* echo.echo.response({})
        assert.deepStrictEqual(LoadReport.get(trailers), recorded)
        const response = yield* echo.expand.response({})
        yield* Stream.runDrain(response.messages)
        assert.deepStrictEqual(LoadReport.get(yield* response.trailers), recorded)
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )

    wire.it("is in the trailers of a call that fails", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, (call) =>
          Effect.andThen(twice(call), Effect.fail(RpcError.make("UNAVAILABLE", "too much to do")))
        )
        const error = yield* Effect.flip(echo.echo({}))
        assert.strictEqual(error.code, "UNAVAILABLE")
        assert.deepStrictEqual(LoadReport.get(error.trailers), recorded)
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )

    wire.it("of a metric that cannot be fails the call and says which", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, (call) => LoadReport.record(call, { memoryUtilization: 2 }))
        const exit = yield* Effect.exit(echo.echo({}))
        assert(Exit.isFailure(exit))
        const error = RpcError.fromCause(exit.cause)
        assert.strictEqual(error.message, "[INTERNAL] memoryUtilization: 2 is not between 0 and 1")
        assert.isUndefined(LoadReport.get(error.trailers))
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )
  })
}
