/** Servers in memory, and a client that is balanced over them. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, RoundRobin, StaticDiscovery, Transport } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "./echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

export const settle = TestClock.adjust(0)

/** Three hosts that answer with their own address. */
export const hosts = ["a:1", "b:1", "c:1"]
export const serveAll = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  yield* Effect.forEach(hosts, (host) => network.serve(host, { handlers: [echoHandlers(host)] }))
  return network
})

/** A client over a pool in the test's scope. */
export const client = (options?: Partial<Balancer.Options>) =>
  Effect.gen(function* () {
    const transport = yield* Balancer.make({
      discovery: StaticDiscovery.make(hosts),
      picker: RoundRobin.make(),
      ...options
    })
    return yield* Effect.provideService(Client.make(EchoService), Transport.Transport, transport)
  })

export const inMemory = Effect.provide(TestNetwork.layer)

/** Which server each of so many calls in a row went to. */
export const servers = (echo: Client.Client<typeof EchoService>, calls: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: calls }), () => echo.lookup({})),
    (replies) => replies.map((reply) => reply.server)
  )

export const counts = (names: ReadonlyArray<string>) =>
  Object.fromEntries(hosts.map((host) => [host, names.filter((name) => name === host).length]))
