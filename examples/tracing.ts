/**
 * A retried call as a trace: the call, its attempts and what the server did, sent to a collector by Effect's OTLP exporter.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/tracing.js
 */
import { Effect, Layer, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import {
  Backoff,
  Balancer,
  Client,
  Handlers,
  RequestId,
  Retry,
  RoundRobin,
  RpcError,
  Server,
  Service,
  StaticDiscovery
} from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"

const GreeterService = Service.make("demo.Greeter", { sayHello: Service.unary(Schema.String, Schema.String) })

let busy = true
const GreeterServer = GrpcJsServer.layer({
  interceptor: RequestId.server,
  handlers: [
    Handlers.make(GreeterService, {
      sayHello: Effect.fn("greet")(function* (name: string) {
        if (busy) {
          busy = false
          return yield* RpcError.make("UNAVAILABLE", "busy")
        }
        return `Hello, ${name}`
      })
    })
  ]
})

class Greeter extends Client.Service<Greeter>()("tracing/Greeter", GreeterService) {}

/** Nothing here is about tracing: calls are spans because there is a tracer. The request's id is what goes with them besides. */
const GreeterLive = Layer.unwrap(
  Effect.map(Server.Server, ({ address }) =>
    Greeter.layer.pipe(
      Layer.provide(RequestId.layer),
      Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "1 millis" })))),
      Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })),
      Layer.provide(GrpcJsConnector.layer())
    )
  )
)

interface Span {
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: object }>
}

/** A collector that keeps the spans it gets. */
const spans: Array<Span> = []
const collector = Effect.acquireRelease(
  Effect.callback<http.Server>((resume) => {
    const server = http.createServer((request, response) => {
      let body = ""
      request.on("data", (chunk) => (body += chunk))
      request.on("end", () => {
        spans.push(...JSON.parse(body).resourceSpans[0].scopeSpans[0].spans)
        response.setHeader("content-type", "application/json").end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

const Otlp = Layer.unwrap(
  Effect.map(collector, (server) =>
    OtlpTracer.layer({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
      resource: { serviceName: "greeter" }
    })
  )
).pipe(Layer.provide(Layer.merge(FetchHttpClient.layer, OtlpSerialization.layerJson)))

const print = (parent: string | undefined, indent: string): void => {
  const children = spans.filter(({ parentSpanId }) => parentSpanId === parent)
  children.sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
  for (const { attributes, name, spanId } of children) {
    const of = (key: string) => Object.values(attributes.find((attribute) => attribute.key === key)?.value ?? {})
    console.log([indent + name, ...of("rpc.response.status_code"), ...of("request_id")].join(" "))
    print(spanId, `${indent}. `)
  }
}

const program = Effect.gen(function* () {
  const greeter = yield* Greeter
  const greeting = greeter.sayHello("Ada").pipe(RequestId.tag(RequestId.make({ id: "ada" })))
  console.log(yield* greeting) // => Hello, Ada

  const { flush } = yield* OtlpExporter.Flusher
  yield* flush
  print(undefined, "")
  // => demo.Greeter/SayHello OK ada#0
  // => . Attempt.demo.Greeter/SayHello UNAVAILABLE ada#0
  // => . . demo.Greeter/SayHello UNAVAILABLE ada#0
  // => . . . greet ada#0
  // => . Attempt.demo.Greeter/SayHello OK ada#0
  // => . . demo.Greeter/SayHello OK ada#0
  // => . . . greet ada#0
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(GreeterLive),
    Effect.provide(GreeterServer),
    Effect.provide(Otlp),
    Effect.timeout("10 seconds")
  )
)
