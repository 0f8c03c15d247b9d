/**
 * What calls come to in numbers: for Prometheus as text, for a collector by OTLP, both with Effect's own exporters.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/metrics.js
 */
import { Effect, Layer, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import {
  Backoff,
  Balancer,
  Client,
  Handlers,
  Metrics,
  Retry,
  RoundRobin,
  RpcError,
  Server,
  Service,
  StaticDiscovery
} from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"

const GreeterService = Service.make("demo.Greeter", { sayHello: Service.unary(Schema.String, Schema.String) })

/** Every third answer is that there is none. */
let asked = 0
const GreeterServer = GrpcJsServer.layer({
  handlers: [
    Handlers.make(GreeterService, {
      sayHello: (name) =>
        ++asked % 3 === 0 ? Effect.fail(RpcError.make("UNAVAILABLE", "busy")) : Effect.succeed(`Hello, ${name}`)
    })
  ]
})

class Greeter extends Client.Service<Greeter>()("metrics/Greeter", GreeterService) {}

const GreeterLive = Layer.unwrap(
  Effect.map(Server.Server, ({ address }) =>
    Greeter.layer.pipe(
      Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "1 millis" })))),
      Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })),
      Layer.provide(GrpcJsConnector.layer())
    )
  )
)

/** A collector that only looks at the names of what it gets. */
const names = new Set<string>()
const collector = Effect.acquireRelease(
  Effect.callback<http.Server>((resume) => {
    const server = http.createServer((request, response) => {
      let body = ""
      request.on("data", (chunk) => (body += chunk))
      request.on("end", () => {
        for (const [, name] of body.matchAll(/"name":"((?:grpc|trunkline)[^"]+)"/g)) names.add(name!)
        response.setHeader("content-type", "application/json").end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

const Otlp = Layer.unwrap(
  Effect.map(collector, (server) =>
    OtlpMetrics.layer({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/metrics`,
      resource: { serviceName: "greeter" }
    })
  )
).pipe(Layer.provide(Layer.merge(FetchHttpClient.layer, OtlpSerialization.layerJson)))

const program = Effect.gen(function* () {
  const greeter = yield* Greeter
  for (let i = 0; i < 4; i++) yield* greeter.sayHello("Ada")

  const text = yield* PrometheusMetrics.format()
  for (const line of text.split("\n")) {
    if (/_(?:started|duration_count|retries_sum|withdrawals|open_connections)[{]/.test(line)) console.log(line)
  }
  // => grpc_subchannel_open_connections{grpc_target="greeter"} 1
  // => trunkline_retry_budget_withdrawals{trunkline_client="demo.Greeter"} 1
  // => grpc_client_attempt_started{grpc_method="demo.Greeter/SayHello",grpc_target="greeter"} 5
  // => grpc_server_call_started{grpc_method="demo.Greeter/SayHello"} 5
  // => grpc_server_call_duration_count{grpc_method="demo.Greeter/SayHello",grpc_status="OK"} 4
  // => grpc_server_call_duration_count{grpc_method="demo.Greeter/SayHello",grpc_status="UNAVAILABLE"} 1
  // => grpc_client_attempt_duration_count{grpc_method="demo.Greeter/SayHello",grpc_target="greeter",grpc_status="OK"} 4
  // => grpc_client_attempt_duration_count{grpc_method="demo.Greeter/SayHello",grpc_target="greeter",grpc_status="UNAVAILABLE"} 1
  // => grpc_client_call_duration_count{grpc_method="demo.Greeter/SayHello",grpc_target="greeter",grpc_status="OK"} 4
  // => grpc_client_call_retries_sum{grpc_method="demo.Greeter/SayHello",grpc_target="greeter"} 1

  const { flush } = yield* OtlpExporter.Flusher
  yield* flush
  console.log(names.has("grpc.client.call.duration"), names.has("trunkline.pool.peers")) // => true true
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(GreeterLive),
    Effect.provide(GreeterServer),
    Effect.provide(Metrics.layer({ target: () => "greeter" })),
    Effect.provide(Otlp),
    Effect.timeout("10 seconds")
  )
)
