/**
 * A picker of one's own.
 *
 * `Picker.overReady` keeps every peer connected and asks for a picker whenever the set of ready peers changes; what is
 * left to write is the choice. This one keeps calls in one zone as long as anybody there is ready. `PickerLaws` checks it as
 * it checks ours: only ready peers, nobody tried twice, and so on.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/custom-picker.js
 */
import { Effect, Layer, Schedule, Schema } from "effect"
import { Balancer, Client, Handlers, Retry, Service, StaticDiscovery } from "trunkline"
import { Picker } from "trunkline/extend"
import { PickerLaws, TestNetwork } from "trunkline/testing"

/** Turns, among the peers whose address starts with the zone; among all of them when it has none. */
const nearest = (zone: string): Picker.PickerPolicy =>
  Picker.overReady((ready) => {
    const near = ready.filter((peer) => peer.id.startsWith(zone))
    const peers = near.length > 0 ? near : ready
    let turn = 0
    return { pick: () => peers[turn++ % peers.length]! }
  })

const hosts = ["east-1:1", "east-2:1", "west-1:1"]

const WhereService = Service.make("demo.Where", { am: Service.unary(Schema.Literal("I"), Schema.String) })

class Where extends Client.Service<Where>()("custom-picker/Where", WhereService) {}

const serveAll = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  yield* Effect.forEach(hosts, (host) =>
    network.serve(host, { handlers: [Handlers.make(WhereService, { am: () => Effect.succeed(host) })] })
  )
})

const WhereLive = Where.layer.pipe(
  // The first call after a backend dies may still be sent to it.
  Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("10 millis")))),
  Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: nearest("east") })),
  Layer.provide(Layer.effectDiscard(serveAll)),
  Layer.provideMerge(TestNetwork.layer)
)

const program = Effect.gen(function* () {
  yield* PickerLaws.check(nearest("peer-1"))
  yield* PickerLaws.check(nearest("nowhere"), { fairWithin: 1.01 })

  const network = yield* TestNetwork.TestNetwork
  const where = yield* Where
  const fourCalls = Effect.forEach([1, 2, 3, 4], () => where.am("I"))

  // The first call connects everybody, and takes the first turn.
  yield* where.am("I")
  yield* Effect.sleep("10 millis")

  console.log((yield* fourCalls).join(" ")) // => east-2:1 east-1:1 east-2:1 east-1:1
  yield* network.kill("east-2:1")
  console.log((yield* fourCalls).join(" ")) // => east-1:1 east-1:1 east-1:1 east-1:1
  yield* network.kill("east-1:1")
  console.log((yield* fourCalls).join(" ")) // => west-1:1 west-1:1 west-1:1 west-1:1
}).pipe(Effect.provide(WhereLive))

await Effect.runPromise(program)
