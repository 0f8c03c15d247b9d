/**
 * Failover between backends, and reads that go to a replica.
 *
 * Three servers on sockets. Calls of the default list go to `service` and, while that is down, to its fallback; calls of the
 * list "read" go to the read-only replica first. Each server is stopped and started again while calls go on without a pause:
 * every switch is told, and no call fails.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/multi-endpoint.js
 */
import { Effect, Exit, Fiber, Latch, Layer, Result, Schedule, Schema, Scope, Stream } from "effect"
import { CallOptions, Client, Endpoint, Handlers, MultiEndpoint, Retry, Service, StaticDiscovery } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"

const WhoService = Service.make("demo.Who", { answers: Service.unary(Schema.Void, Schema.String) })

class Who extends Client.Service<Who>()("multi-endpoint/Who", WhoService) {}

const names = ["service", "service-fallback", "ro-service"]

/** Where each server is; the first start takes any port, later ones the same again. */
const ports = new Map<string, number>()
const running = new Map<string, Scope.Closeable>()

const start = Effect.fnUntraced(function* (name: string) {
  const scope = yield* Scope.make()
  const { address } = yield* GrpcJsServer.make({
    port: ports.get(name) ?? 0,
    handlers: [Handlers.make(WhoService, { answers: () => Effect.succeed(name) })],
    drainTimeout: 0
  }).pipe(Scope.provide(scope), Effect.retry(Schedule.spaced("10 millis")))
  ports.set(name, Number(address.split(":").at(-1)))
  running.set(name, scope)
})

const stop = (name: string) => Scope.close(running.get(name)!, Exit.void)

/** The names stand for hosts that DNS would know; here they are where the servers are. */
const locate = ({ id }: Endpoint.Endpoint) =>
  StaticDiscovery.make([Result.getOrThrow(Endpoint.parse(`127.0.0.1:${ports.get(id.split(":")[0]!)}`))])

const timings = { recoveryTimeout: "100 millis", switchingDelay: "100 millis" } as const

const Backends = MultiEndpoint.layer({
  multiEndpoints: [
    { name: "default", endpoints: ["service", "service-fallback"], ...timings },
    { name: "read", endpoints: ["ro-service", "service-fallback", "service"], ...timings }
  ],
  discovery: locate,
  reconnect: Schedule.spaced("50 millis")
}).pipe(Layer.provide(GrpcJsConnector.layer()))

const WhoLive = Who.layer.pipe(
  Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("20 millis")).pipe(Retry.maxAttempts(50)))),
  Layer.provideMerge(Backends)
)

/** Waits until a server is seen to be up or down, and calls go where they should. */
const seen = Effect.fnUntraced(function* (name: string, up: boolean) {
  const { snapshot } = yield* MultiEndpoint.MultiEndpoint
  const settled = Effect.map(
    snapshot,
    ({ multiEndpoints, pools }) =>
      pools.find(({ endpoint }) => endpoint === `${name}:443`)?.ready === up &&
      multiEndpoints.every(
        ({ current, endpoints }) =>
          endpoints.find(({ availability }) => availability === "Available")?.endpoint === current
      )
  )
  yield* Effect.repeat(Effect.delay(settled, "20 millis"), { until: (settled) => settled })
})

const program = Effect.gen(function* () {
  const who = yield* Who
  const backends = yield* MultiEndpoint.MultiEndpoint
  const read = who.answers().pipe(CallOptions.withMultiEndpoint("read"))
  yield* Effect.forEach(names, (name) => seen(name, true))
  console.log(`default: ${yield* who.answers()}, read: ${yield* read}`)

  const telling = Stream.runForEach(backends.switches, ({ from, multiEndpoint, reason, to }) =>
    Effect.sync(() => console.log(`  ${multiEndpoint}: ${from} -> ${to} (${reason})`))
  )
  yield* Effect.forkChild(telling)

  let failed = 0
  const done = Latch.makeUnsafe()
  const calling = Effect.all([who.answers(), read], { concurrency: 2 }).pipe(
    Effect.catch(() => Effect.sync(() => void failed++)),
    Effect.andThen(Effect.sleep(1)),
    Effect.forever,
    Effect.raceFirst(done.await)
  )
  const caller = yield* Effect.forkChild(calling)

  for (const name of names) {
    console.log(`${name} stops and starts again`)
    yield* stop(name)
    yield* seen(name, false)
    yield* start(name)
    yield* seen(name, true)
  }
  yield* done.open
  yield* Fiber.join(caller)
  console.log(`${failed} calls failed`)
})

// => default: service, read: ro-service
// => service stops and starts again
// =>   default: service:443 -> service-fallback:443 (fallback)
// =>   default: service-fallback:443 -> service:443 (recover)
// => service-fallback stops and starts again
// => ro-service stops and starts again
// =>   read: ro-service:443 -> service-fallback:443 (fallback)
// =>   read: service-fallback:443 -> ro-service:443 (recover)
// => 0 calls failed
await Effect.runPromise(
  Effect.gen(function* () {
    yield* Effect.forEach(names, start)
    yield* Effect.provide(program, WhoLive)
    yield* Effect.forEach(names, stop)
  })
)
