/**
 * Lists that come in pages, and work that outlives its call.
 *
 * A server runs jobs as `google.longrunning` operations. One client lists them, page by page but as one Stream, and waits
 * for one of them by its name, following how far it is.
 *
 *   npm run -s build && npm run -s build:programs && node build/examples/operations.js
 */
import { create } from "@bufbuild/protobuf"
import { anyPack, Int32ValueSchema, StringValueSchema } from "@bufbuild/protobuf/wkt"
import { Effect, Layer, Schedule, Stream } from "effect"
import { Balancer, Client, Handlers, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { Operation, Paging } from "trunkline/google"
import { TestNetwork } from "trunkline/testing"

const { OperationsService } = Operation

/** A job says how many percent of it are done, and is done the third time somebody looks. */
const percent = (value: number) => anyPack(Int32ValueSchema, create(Int32ValueSchema, { value }))
let looks = 0
const look = (name: string) => {
  looks++
  return looks < 3
    ? { name, metadata: percent(looks * 40) }
    : {
        name,
        metadata: percent(100),
        done: true,
        result: {
          case: "response" as const,
          value: anyPack(StringValueSchema, create(StringValueSchema, { value: "42" }))
        }
      }
}

const names = ["jobs/1", "jobs/2", "jobs/3", "jobs/4", "jobs/5"]
const notHere = () => RpcError.make("UNIMPLEMENTED", "not in this example")

const Jobs = Handlers.make(OperationsService, {
  getOperation: ({ name }) => Effect.sync(() => look(name)),
  listOperations: ({ pageSize, pageToken }) =>
    Effect.sync(() => {
      const start = Number(pageToken)
      const end = start + pageSize
      console.log(`page from ${start}`)
      return {
        operations: names.slice(start, end).map((name) => ({ name })),
        nextPageToken: end < names.length ? String(end) : ""
      }
    }),
  waitOperation: () => notHere(),
  cancelOperation: () => notHere(),
  deleteOperation: () => notHere()
})

const Serving = Layer.effectDiscard(
  Effect.flatMap(TestNetwork.TestNetwork, (network) => network.serve("jobs:1", { handlers: [Jobs] }))
)

const Live = Operation.layer.pipe(
  Layer.provideMerge(Balancer.layer({ discovery: StaticDiscovery.make(["jobs:1"]), picker: RoundRobin.make() })),
  Layer.provide(Serving),
  Layer.provide(TestNetwork.layer)
)

const program = Effect.gen(function* () {
  const client = yield* Client.make(OperationsService)
  const list = Paging.items(client.listOperations, Paging.fieldsUnsafe(OperationsService.method.listOperations))
  // Three jobs are wanted, so the third page is never asked for.
  const firstThree = yield* list({ pageSize: 2 }).pipe(Stream.take(3), Stream.runCollect)
  console.log(firstThree.map(({ name }) => name).join(" "))

  const job = yield* Operation.attach("jobs/3", {
    response: StringValueSchema,
    metadata: Int32ValueSchema,
    schedule: Schedule.spaced("10 millis"),
    timeout: "1 second"
  })
  yield* Stream.runForEach(Operation.states(job), (state) =>
    Effect.sync(() => {
      console.log(`${state.metadata?.value}%`)
      if (state._tag === "Succeeded") console.log(`the answer is ${state.response.value}`)
    })
  )
}).pipe(Effect.provide(Live))

await Effect.runPromise(program)

// => page from 0
// => page from 2
// => jobs/1 jobs/2 jobs/3
// => 40%
// => 80%
// => 100%
// => the answer is 42
