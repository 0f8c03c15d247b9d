/** The cases of load reports: in a call's trailers, and apart from calls. */
import { type Cause, Effect, Fiber, Queue, Stream } from "effect"
import { LoadReport } from "trunkline"
import * as Expect from "../expect.ts"
import { inputOf, reports } from "../load.ts"
import type { Peer } from "../Peer.ts"

const expected = (report: Parameters<typeof inputOf>[0]): LoadReport.LoadReport => ({
  ...LoadReport.empty,
  ...inputOf(report)
})

export const orcaPerRpc = Effect.fnUntraced(function* ({ test }: Peer) {
  const { trailers } = yield* test.unaryCall.response({ orcaPerQueryReport: reports.ofCall })
  yield* Expect.equal("report", LoadReport.get(trailers), expected(reports.ofCall))
})

/** How long the reports of one case may be under way. */
const limit = "10 seconds"

/** Waits for a report, past those of before. */
const heard = (all: Queue.Dequeue<LoadReport.LoadReport>, report: LoadReport.LoadReport) => {
  const text = JSON.stringify(report)
  const next = Effect.repeat(Queue.take(all), { until: (one) => JSON.stringify(one) === text })
  return Effect.flatMap(Effect.timeoutOption(next, limit), (found) =>
    Expect.equal(`heard of ${text}`, found._tag, "Some")
  )
}

/** Reports are watched from before the first is asked for; each is asked for when the one before has been heard. */
export const orcaOob = Effect.fnUntraced(function* ({ load, test }: Peer) {
  const all = yield* Queue.unbounded<LoadReport.LoadReport>()
  const watch = yield* Effect.forkScoped(Stream.runForEach(load, (report) => Queue.offer(all, report)))

  const request = (index: number) => ({
    responseParameters: [{ size: 1 }],
    orcaOobReport: reports.ofServer[index]!
  })
  const requests = yield* Queue.unbounded<ReturnType<typeof request>, Cause.Done>()
  yield* Queue.offer(requests, request(0))
  const calls = Stream.runFoldEffect(
    test.fullDuplexCall(Stream.fromQueue(requests)),
    () => 0,
    Effect.fnUntraced(function* (index, response) {
      yield* Expect.payload(response.payload, 1)
      yield* heard(all, expected(reports.ofServer[index]!))
      const next = index + 1
      yield* next < reports.ofServer.length ? Queue.offer(requests, request(next)) : Queue.end(requests)
      return next
    })
  )
  // A watch only ends by failing.
  const answered = yield* Effect.raceFirst(calls, Effect.andThen(Fiber.join(watch), Effect.never))
  yield* Expect.equal("responses", answered, reports.ofServer.length)
}, Effect.scoped)
