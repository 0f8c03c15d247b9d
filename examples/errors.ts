/**
 * Errors that a method declares: the handler fails with one, and it is itself again in the caller's error channel.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/errors.js
 */
import { Effect, Layer, Schema } from "effect"
import { Balancer, Client, DeclaredError, Handlers, RoundRobin, Server, Service, StaticDiscovery } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { again: Schema.Date }) {}
class NotYours extends Schema.TaggedError<NotYours>()("NotYours", { owner: Schema.String }) {}

const ShopService = Service.make("demo.Shop", {
  buy: Service.unary(Schema.String, Schema.String, { errors: [OutOfStock] }),
  giveBack: Service.unary(Schema.String, Schema.Void, {
    errors: [DeclaredError.withCode(NotYours, "PERMISSION_DENIED")]
  })
})

const ShopServer = GrpcJsServer.layer({
  handlers: [
    Handlers.make(ShopService, {
      buy: (item) =>
        item === "pears" ? Effect.fail(new OutOfStock({ again: new Date("2030-09-01") })) : Effect.succeed(item),
      giveBack: () => Effect.fail(new NotYours({ owner: "Ada" }))
    })
  ]
})

class Shop extends Client.Service<Shop>()("errors/Shop", ShopService) {}

/** A client of the server, wherever it was bound. */
const ShopLive = Layer.unwrap(
  Effect.map(Server.Server, ({ address }) =>
    Shop.layer.pipe(
      Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })),
      Layer.provide(GrpcJsConnector.layer())
    )
  )
)

const program = Effect.gen(function* () {
  const shop = yield* Shop
  const basket = yield* shop.buy("pears").pipe(
    Effect.catchTag("OutOfStock", ({ again }) => {
      console.log(`no pears before ${again.getUTCFullYear()}`) // => no pears before 2030
      return shop.buy("apples")
    })
  )
  console.log(basket) // => apples

  const error = yield* Effect.flip(shop.giveBack("apples"))
  if (error._tag === "NotYours") console.log(`ask ${error.owner}`) // => ask Ada
  // To everybody who does not know the class it is a status like any other.
  console.log(DeclaredError.rpcErrorOf(error)?.message) // => [PERMISSION_DENIED] NotYours
})

await Effect.runPromise(program.pipe(Effect.provide(ShopLive), Effect.provide(ShopServer)))
