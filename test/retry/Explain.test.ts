import { assert, describe, it } from "@effect/vitest"
import { Effect, Function, Schedule } from "effect"
import { Backoff, Code, Pushback, Retry, type RpcError } from "trunkline"
import { Jitter } from "trunkline/extend"

const but = (...codes: ReadonlyArray<Code.Code>) =>
  `Not retried: ${Code.all.filter((code) => !codes.includes(code)).join(", ")}`
const backoff = Backoff.exponential({ initial: 100, max: 400 })

describe("Retry.explain", () => {
  it.each<[string, Retry.RetryPolicy, ReadonlyArray<string>]>([
    [
      "gax",
      Retry.gax,
      [
        "DEADLINE_EXCEEDED, UNAVAILABLE",
        "  attempts: without limit",
        "  delays: 1ns to 1s, 1ns to 2s, 1ns to 4s, 1ns to 8s, and so on, then 1ns to 30s each",
        "  time: the last attempt begins 10m after the start at the latest",
        "  pushback: slept as asked, at most 30s, and the delays start anew; stops if asked",
        "Certificate and login failures: not retried",
        but("DEADLINE_EXCEEDED", "UNAVAILABLE")
      ]
    ],
    [
      "goma",
      Retry.goma,
      [
        "DEADLINE_EXCEEDED, UNAVAILABLE, transient INTERNAL",
        "  attempts: without limit",
        "  delays: 10ms, 12.8ms to 19.2ms, 20.48ms to 30.72ms, 32.77ms to 49.15ms, and so on, then 1m 36s to 2m 24s each",
        "  time: without limit",
        "  pushback: slept as asked, at most 2m, and the delays start anew; stops if asked",
        "RESOURCE_EXHAUSTED",
        "  attempts: at most 5",
        "  delays: 1s, 1.6s to 2.4s, 3.2s to 4.8s, then 6.4s to 9.6s",
        "  time: without limit",
        "  pushback: slept as asked, at most 2m, and the delays start anew; stops if asked",
        "Certificate and login failures: not retried",
        but("DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED")
      ]
    ],
    [
      "aip194",
      Retry.aip194,
      [
        "UNAVAILABLE",
        "  attempts: at most 10",
        "  delays: 1ns to 1s, 1ns to 2s, 1ns to 4s, 1ns to 8s, and so on, then 1ns to 1m each",
        "  time: the last attempt begins 1m after the start at the latest",
        "  pushback: slept as asked, at most 1m, and the delays start anew; stops if asked",
        "Certificate and login failures: not retried",
        but("UNAVAILABLE")
      ]
    ],
    ["none", Retry.none, [but()]],
    ["an empty list", Retry.onCodes([], backoff), [but()]],
    [
      "any schedule at all",
      Schedule.recurs(1),
      [
        Code.all.join(", "),
        "  attempts: at most 2",
        "  delays: 0ms",
        "  time: without limit",
        "  pushback: not listened to",
        "Certificate and login failures: retried"
      ]
    ],
    [
      "everything told otherwise",
      Retry.onCodes(["UNAVAILABLE"], Backoff.serviceConfig({ initial: 100, max: 400 }), {
        pushback: Pushback.exact,
        permanent: Function.constFalse
      }).pipe(Retry.maxAttempts(4)),
      [
        "UNAVAILABLE",
        "  attempts: at most 4",
        "  delays: 80ms to 120ms, 160ms to 240ms, then 320ms to 480ms",
        "  time: without limit",
        "  pushback: slept as asked, and the delays start anew; stops if asked",
        "Certificate and login failures: retried",
        but("UNAVAILABLE")
      ]
    ],
    [
      "a union of rules, one of them deaf",
      Schedule.min([
        Retry.onCodes(["ABORTED"], Backoff.decorrelated({ initial: 10, max: 50 }), {
          pushback: Pushback.ignored
        }).pipe(Retry.maxAttempts(3)),
        Retry.onCodes(["INTERNAL"], backoff).pipe(Retry.totalTimeout("5 seconds"))
      ]),
      [
        "ABORTED",
        "  attempts: at most 3",
        "  delays: 10ms to 30ms, then 10ms to 50ms",
        "  time: without limit",
        "  pushback: not listened to",
        "INTERNAL",
        "  attempts: without limit",
        "  delays: 1ns to 100ms, 1ns to 200ms, then 1ns to 400ms each",
        "  time: the last attempt begins 5s after the start at the latest",
        "  pushback: slept as asked, at most 400ms, and the delays start anew; stops if asked",
        but("ABORTED", "INTERNAL")
      ]
    ],
    [
      "time runs out before the delays have grown",
      Retry.onCodes(["ABORTED"], Backoff.exponential({ jitter: Jitter.none })).pipe(Retry.totalTimeout("3500 millis")),
      [
        "ABORTED",
        "  attempts: at most 3",
        "  delays: 1s, then 2s",
        "  time: the last attempt begins 3.5s after the start at the latest",
        "  pushback: slept as asked, at most 3.5s, and the delays start anew; stops if asked",
        but("ABORTED")
      ]
    ],
    [
      "the time of Schedule.upTo, which looks before the sleep",
      Retry.onCodes(["ABORTED"], Schedule.spaced(20)).pipe(Schedule.upTo({ duration: "1 second" })),
      [
        "ABORTED",
        "  attempts: without limit",
        "  delays: 20ms each",
        "  time: the last attempt begins 1.02s after the start at the latest",
        "  pushback: slept as asked, and the delays start anew; stops if asked",
        but("ABORTED")
      ]
    ],
    [
      "HTTP statuses that fare otherwise than their codes",
      Retry.onHttpCodes([502, 503], backoff).pipe(Retry.maxAttempts(2)),
      [
        "HTTP 502, HTTP 503",
        "  attempts: at most 2",
        "  delays: 1ns to 100ms",
        "  time: without limit",
        "  pushback: slept as asked, at most 400ms, and the delays start anew; stops if asked",
        but()
      ]
    ],
    [
      "a policy that stops if asked but sleeps its own delays",
      Schedule.while(
        Schedule.spaced(10),
        ({ input }: { readonly input: RpcError.RpcError }) =>
          input.code === "ABORTED" && Pushback.of(input)._tag !== "Stop"
      ),
      [
        "ABORTED",
        "  attempts: without limit",
        "  delays: 10ms each",
        "  time: without limit",
        "  pushback: only a wish for no further attempt is granted",
        but("ABORTED")
      ]
    ],
    [
      "a policy that has to wait for its answer",
      Schedule.modifyDelay(Schedule.spaced(10), () => Effect.as(Effect.sleep(1), 1)),
      [`Not known before it happens: ${Code.all.join(", ")}`]
    ],
    [
      "a policy that is broken for one code",
      Schedule.while(Schedule.recurs(1), ({ input }: { readonly input: RpcError.RpcError }) =>
        input.code === "ABORTED" ? Effect.die("a bug") : false
      ),
      [but("ABORTED"), "Not known before it happens: ABORTED"]
    ]
  ])("%s", (_name, policy, lines) => assert.deepStrictEqual(Retry.explain(policy).split("\n"), lines))
})
