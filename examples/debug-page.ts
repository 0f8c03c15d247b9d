/**
 * Three backends, some load, and the page that shows them. With `--stay` it goes on until it is stopped, one backend dies
 * now and then, and the page can be looked at.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/debug-page.js --stay
 */
import { Effect, Exit, Layer, Random, Schedule, Schema, Scope, Stream } from "effect"
import {
  Backoff,
  Balancer,
  Client,
  FailureAccrual,
  Handlers,
  Introspection,
  PowerOfTwo,
  Retry,
  RpcError,
  Service,
  StaticDiscovery
} from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import { NodeDebugPage } from "trunkline/debug-page"

const ShopService = Service.make("demo.Shop", { price: Service.unary(Schema.String, Schema.Finite) })

class Shop extends Client.Service<Shop>()("debug-page/Shop", ShopService) {}

/** A shop that takes about so many milliseconds to answer, and sometimes cannot. */
const shop = (millis: number) =>
  Handlers.make(ShopService, {
    price: () =>
      Effect.gen(function* () {
        yield* Effect.sleep(millis * (0.5 + (yield* Random.next)))
        if ((yield* Random.next) < 0.01) return yield* RpcError.make("UNAVAILABLE", "out of <oranges>")
        return 3
      })
  })

/** Starts a shop on a port and stops it with the scope. */
const open = (millis: number, port?: number) =>
  GrpcJsServer.make({ handlers: [shop(millis)], port, drainTimeout: "100 millis" })

/** A shop that closes for five seconds, again and again. */
const unreliable = Effect.gen(function* () {
  const first = yield* Scope.make()
  const { address } = yield* Scope.provide(open(8), first)
  const port = Number(address.split(":").at(-1))
  const closed = Effect.sleep("5 seconds")
  const opened = Effect.scoped(Effect.andThen(open(8, port), Effect.sleep("20 seconds")))
  yield* Effect.sleep("20 seconds").pipe(
    Effect.andThen(Scope.close(first, Exit.void)),
    Effect.andThen(Effect.forever(Effect.andThen(closed, opened))),
    Effect.ensuring(Scope.close(first, Exit.void)),
    Effect.forkScoped
  )
  return address
})

const Shops = Layer.unwrap(
  Effect.gen(function* () {
    const addresses = [(yield* open(2)).address, (yield* open(4)).address, yield* unreliable]
    return Shop.layer.pipe(
      Layer.provide(
        Balancer.layer({
          discovery: StaticDiscovery.make(addresses),
          picker: PowerOfTwo.make(),
          signals: [FailureAccrual.make()],
          eager: true
        })
      ),
      Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "20 millis" })))),
      Layer.provide(GrpcJsConnector.layer())
    )
  })
)

/** Sixteen customers who ask for ever. */
const load = Effect.gen(function* () {
  const { price } = yield* Shop
  const customer = Effect.ignore(price("oranges")).pipe(Effect.repeat(Schedule.spaced("20 millis")))
  yield* Effect.replicateEffect(Effect.forkScoped(customer), 16, { discard: true })
})

const program = Effect.gen(function* () {
  yield* load
  const { url } = yield* NodeDebugPage.NodeDebugPage
  if (process.argv.includes("--stay")) {
    console.log(url)
    return yield* Effect.never
  }
  // Whoever has no browser looks at the snapshots themselves.
  const { snapshots } = yield* Introspection.Introspection
  const isBusy = ({ started }: { readonly started: number }) => started > 0
  yield* snapshots.pipe(
    Stream.takeUntil(({ pools }) => pools[0]!.peers.filter(isBusy).length === 3),
    Stream.runDrain
  )
  const page = yield* Effect.promise(() => fetch(url).then((response) => response.text()))
  console.log(/\d of \d backends ready/.exec(page)?.[0]) // => 3 of 3 backends ready
}).pipe(Effect.scoped)

const Page = NodeDebugPage.layer({ port: process.argv.includes("--stay") ? 8300 : 0 })

await Effect.runPromise(
  program.pipe(Effect.provide(Layer.mergeAll(Page, Shops).pipe(Layer.provideMerge(Introspection.layer()))))
)
