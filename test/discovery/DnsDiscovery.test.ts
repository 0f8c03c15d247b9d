import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, PubSub, Schedule, Stream } from "effect"
import { Dns, NetAddress } from "effect/net"
import { TestClock } from "effect/testing"
import { DiscoveryError } from "../../src/discovery/Discovery.ts"
import * as DnsDiscovery from "../../src/discovery/DnsDiscovery.ts"
import { Address, AddressError } from "../../src/discovery/Endpoint.ts"

/** A zone that a test changes while discovery reads it. */
class Zone {
  answer: ReadonlyArray<string> | Dns.DnsErrorReason
  /** How long a look-up takes. */
  latency = 0
  /** When each look-up started, in milliseconds. */
  readonly looked: Array<number> = []
  readonly asked: Array<readonly [host: string, family: NetAddress.IpFamily | undefined]> = []

  constructor(answer: Zone["answer"]) {
    this.answer = answer
  }

  readonly dns = Dns.make({
    // Answers when it is called, not when what it returns runs: each look-up has to call.
    lookup: (host, family) => {
      const { answer, latency } = this
      this.asked.push([host, family])
      return Clock.currentTimeMillis.pipe(
        Effect.tap((now) => Effect.sync(() => this.looked.push(now))),
        Effect.tap(() => (latency === 0 ? Effect.void : Effect.sleep(latency))),
        Effect.flatMap(() =>
          typeof answer === "string"
            ? Effect.fail(new Dns.DnsError({ reason: answer, method: "lookup", hostname: host }))
            : Effect.succeed(answer.map(NetAddress.ipFromStringUnsafe))
        )
      )
    }
  })
}

type Emission = readonly [at: number, ids: ReadonlyArray<string>]

/** Subscribes and reads in the background; `ask` requests a look-up. */
const watch = Effect.fnUntraced(function* (zone: Zone, options?: DnsDiscovery.Options) {
  const emitted: Array<Emission> = []
  const requests = yield* PubSub.unbounded<void>()
  let listening = 0
  const refresh = Stream.suspend(() => {
    listening++
    return Stream.ensuring(
      Stream.fromPubSub(requests),
      Effect.sync(() => listening--)
    )
  })
  const endpoints = yield* DnsDiscovery.make("greeter:50051", options)
    .subscribe(refresh)
    .pipe(Effect.provideService(Dns.Dns, zone.dns))
  const running = yield* Stream.runForEach(endpoints, (set) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      emitted.push([now, set.map(({ id }) => id)])
    })
  ).pipe(Effect.forkChild)
  yield* TestClock.adjust(0)
  return {
    emitted,
    running,
    endpoints,
    listening: () => listening,
    ask: Effect.andThen(PubSub.publish(requests, undefined), TestClock.adjust(0))
  }
})

const failureOf = (exit: Exit.Exit<unknown, DiscoveryError> | undefined): DiscoveryError => {
  assert(exit !== undefined && Exit.isFailure(exit))
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  assert(reason !== undefined)
  return reason.error
}

const a = "10.0.0.1:50051"
const b = "10.0.0.2:50051"
const c = "10.0.0.3:50051"

describe("what a name becomes", () => {
  it.effect("an endpoint per address of both families, under the name the user wrote", () =>
    Effect.gen(function* () {
      const endpoints = yield* DnsDiscovery.make("dns:///Greeter.local.:50051").subscribe(Stream.never)
      const first = yield* Stream.runHead(endpoints).pipe(Effect.flatMap(Effect.fromOption))
      const tcp = (host: string) => Address.Tcp({ host, port: 50051 })
      const rest = { authority: "greeter.local:50051", weight: 1, priority: 0, locality: undefined }
      assert.deepStrictEqual(first, [
        { id: "10.0.0.2:50051", ...rest, address: tcp("10.0.0.2") },
        { id: "[2001:db8::1]:50051", ...rest, address: tcp("2001:db8::1") },
        { id: "10.0.0.1:50051", ...rest, address: tcp("10.0.0.1") }
      ])
    }).pipe(
      Effect.provide(
        Dns.layerStatic({ hosts: { "greeter.local": ["10.0.0.2", "2001:0db8::1", "10.0.0.2", "10.0.0.1"] } })
      )
    )
  )

  it.effect("the addresses of one family", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1", "::1"])
      assert.deepStrictEqual((yield* watch(zone, { family: "ipv4" })).emitted, [[0, [a]]])
      assert.deepStrictEqual((yield* watch(zone, { family: "ipv6" })).emitted, [[0, ["[::1]:50051"]]])
      assert.deepStrictEqual((yield* watch(zone, { family: "both" })).emitted, [[0, [a, "[::1]:50051"]]])
      assert.deepStrictEqual(zone.asked, [
        ["greeter", "IPv4"],
        ["greeter", "IPv6"],
        ["greeter", undefined]
      ])
    })
  )

  it.effect("no endpoint twice, even from a service that repeats itself", () =>
    Effect.gen(function* () {
      const ip = NetAddress.ipFromStringUnsafe("10.0.0.1")
      const dns = Dns.Dns.of({ ...new Zone([]).dns, lookup: () => Effect.succeed([ip, ip]) as never })
      const endpoints = yield* DnsDiscovery.make("greeter:50051")
        .subscribe(Stream.never)
        .pipe(Effect.provideService(Dns.Dns, dns))
      const first = yield* Stream.runHead(endpoints).pipe(Effect.flatMap(Effect.fromOption))
      assert.deepStrictEqual(
        first.map(({ id }) => id),
        [a]
      )
    })
  )

  it.effect("an authority and a port of the options", () =>
    Effect.gen(function* () {
      const endpoints = yield* DnsDiscovery.make("greeter", { port: 443, authority: "api.example" })
        .subscribe(Stream.never)
        .pipe(Effect.provideService(Dns.Dns, new Zone(["10.0.0.1"]).dns))
      const first = yield* Stream.runHead(endpoints).pipe(Effect.flatMap(Effect.fromOption))
      assert.deepStrictEqual(
        first.map(({ id, authority }) => [id, authority]),
        [["10.0.0.1:443", "api.example"]]
      )
    })
  )

  it.live("the answer of Node's resolver when no Dns is provided", () =>
    Effect.gen(function* () {
      const endpoints = yield* DnsDiscovery.make("localhost:50051").subscribe(Stream.never)
      const first = yield* Stream.runHead(endpoints).pipe(Effect.flatMap(Effect.fromOption))
      assert.isNotEmpty(first)
      for (const { id, authority } of first) {
        assert.include(["127.0.0.1:50051", "[::1]:50051"], id)
        assert.strictEqual(authority, "localhost:50051")
      }
    })
  )

  it.effect("itself, once and without a look-up, when it is an IP address", () =>
    Effect.gen(function* () {
      const zone = new Zone("NotFound")
      for (const [target, id] of [
        ["1.2.3.4:1", "1.2.3.4:1"],
        ["ipv4:1.2.3.4:1", "1.2.3.4:1"],
        ["dns:///[::1]:1", "[::1]:1"],
        ["[fe80::1%eth0]:1", "[fe80::1%eth0]:1"]
      ] as const) {
        const emitted: Array<unknown> = []
        const endpoints = yield* DnsDiscovery.make(target, { authority: "greeter" })
          .subscribe(Stream.fromSchedule(Schedule.spaced("1 second")).pipe(Stream.map(() => undefined)))
          .pipe(Effect.provideService(Dns.Dns, zone.dns))
        const running = yield* Stream.runForEach(endpoints, (set) =>
          Effect.sync(() => emitted.push(set.map((endpoint) => [endpoint.id, endpoint.authority])))
        ).pipe(Effect.forkChild)
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(emitted, [[[id, "greeter"]]])
        assert.isUndefined(running.pollUnsafe())
      }
      assert.deepStrictEqual(zone.looked, [])
    })
  )
})

describe("a wrong target fails the subscription", () => {
  const bad: ReadonlyArray<readonly [target: string, problem: string, options?: DnsDiscovery.Options]> = [
    ["greeter", "no port"],
    ["greeter:0", "port 0 is not from 1 to 65535"],
    ["greeter", "port 70000 is not from 1 to 65535", { port: 70000 }],
    ["ftp://greeter:1", 'unknown scheme "ftp"; known are dns, ipv4, ipv6, unix'],
    ["unix:/run/greeter.sock", "a Unix socket has no host name to look up"]
  ]
  for (const [target, problem, options] of bad) {
    it.effect(`${target}: ${problem}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(DnsDiscovery.make(target, options).subscribe(Stream.never))
        assert.instanceOf(error, DiscoveryError)
        assert.deepStrictEqual([error.target, error.problem], [target, problem])
        assert.deepStrictEqual(error.cause, new AddressError({ input: target, problem }))
      })
    )
  }
})

describe("looking again", () => {
  it.effect("happens 30 seconds after the last look-up ended", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      zone.latency = 500
      const { emitted } = yield* watch(zone)
      yield* TestClock.adjust(500)
      zone.answer = ["10.0.0.2"]
      yield* TestClock.adjust(29_999)
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 30_500])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(zone.looked, [0, 30_500, 61_000, 91_500, 122_000])
      assert.deepStrictEqual(emitted, [
        [500, [a]],
        [31_000, [b]]
      ])
    })
  )

  it.effect("follows a schedule of the user's, and only requests when that has ended", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      const { ask, running } = yield* watch(zone, {
        refresh: Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 2 }))
      })
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(zone.looked, [0, 5000, 10_000])
      assert.isUndefined(running.pollUnsafe())
      yield* ask
      assert.strictEqual(zone.looked.length, 4)
    })
  )

  it.effect("is at once when asked for, and puts the next look-up 30 seconds behind it", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      const { ask, emitted } = yield* watch(zone)
      zone.answer = ["10.0.0.2"]
      yield* TestClock.adjust(20_000)
      yield* ask
      assert.deepStrictEqual(zone.looked, [0, 20_000])
      assert.deepStrictEqual(emitted, [
        [0, [a]],
        [20_000, [b]]
      ])
      yield* TestClock.adjust(29_999)
      assert.deepStrictEqual(zone.looked, [0, 20_000])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 20_000, 50_000])
    })
  )

  it.effect("goes on by schedule when the requests have ended", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      const endpoints = yield* DnsDiscovery.make("greeter:50051")
        .subscribe(Stream.empty)
        .pipe(Effect.provideService(Dns.Dns, zone.dns))
      yield* Effect.forkChild(Stream.runDrain(endpoints))
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(zone.looked, [0, 30_000])
    })
  )
})

describe("the distance between look-ups", () => {
  it.effect("is one second: a request inside it is served when it ends, and many are one", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      const { ask } = yield* watch(zone)
      yield* TestClock.adjust(100)
      yield* ask
      yield* ask
      yield* TestClock.adjust(400)
      yield* ask
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust(499)
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 1000])
      yield* TestClock.adjust(29_999)
      assert.deepStrictEqual(zone.looked, [0, 1000], "conflated requests leave none behind")
    })
  )

  it.effect("does not delay a request outside it", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      const { ask } = yield* watch(zone)
      yield* TestClock.adjust(1001)
      yield* ask
      assert.deepStrictEqual(zone.looked, [0, 1001])
    })
  )

  it.effect("is counted from start to start, and a request during a look-up is served by the next", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      zone.latency = 600
      const { ask } = yield* watch(zone)
      yield* TestClock.adjust(300)
      yield* ask
      yield* TestClock.adjust(699)
      assert.deepStrictEqual(zone.looked, [0])
      zone.latency = 5000
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 1000])
      yield* ask
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(zone.looked, [0, 1000])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 1000, 6000])
    })
  )

  it.effect("can be chosen, and holds for a schedule too", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.1"])
      yield* watch(zone, { minInterval: "10 seconds", refresh: Schedule.spaced("1 second") })
      yield* TestClock.adjust(9999)
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 10_000])
    })
  )

  it.effect("holds for a stream that failed and is run again", () =>
    Effect.gen(function* () {
      const zone = new Zone("Timeout")
      const { endpoints } = yield* watch(zone)
      yield* Stream.retry(endpoints, Schedule.spaced(100)).pipe(Stream.runDrain, Effect.forkChild)
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(zone.looked, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(zone.looked, [0, 1000])
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(zone.looked, [0, 1000, 2000])
    })
  )
})

describe("what is emitted", () => {
  it.effect("is a set with other ids, never the same in another order", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.2", "10.0.0.1"])
      const { emitted } = yield* watch(zone)
      yield* TestClock.adjust(30_000)
      zone.answer = ["10.0.0.1", "10.0.0.2"]
      yield* TestClock.adjust(30_000)
      assert.strictEqual(zone.looked.length, 3)
      assert.deepStrictEqual(emitted, [[0, [b, a]]])
      zone.answer = ["10.0.0.1"]
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(emitted.slice(1), [[90_000, [a]]])
    })
  )

  it.effect("keeps the order of those that stay, then has the new ones", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.2", "10.0.0.1"])
      const { emitted } = yield* watch(zone)
      zone.answer = ["10.0.0.3", "10.0.0.1", "10.0.0.2"]
      yield* TestClock.adjust(30_000)
      zone.answer = ["10.0.0.1", "10.0.0.3"]
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(emitted, [
        [0, [b, a]],
        [30_000, [b, a, c]],
        [60_000, [a, c]]
      ])
    })
  )
})

describe("a failed look-up", () => {
  it.effect("fails the stream, naming the target, the name and the reason", () =>
    Effect.gen(function* () {
      const zone = new Zone("NotFound")
      const { running, emitted } = yield* watch(zone)
      const error = failureOf(running.pollUnsafe())
      assert.instanceOf(error, DiscoveryError)
      assert.strictEqual(error.message, 'discovery of "greeter:50051": look-up of greeter failed: NotFound')
      assert.strictEqual(error.target, "greeter:50051")
      assert.instanceOf(error.cause, Dns.DnsError)
      assert.deepStrictEqual(emitted, [])
    })
  )

  it.effect("of an empty answer is NotFound", () =>
    Effect.gen(function* () {
      const { running } = yield* watch(new Zone([]))
      assert.match(failureOf(running.pollUnsafe()).problem, /NotFound/)
    })
  )

  it.effect("fails it later too, after which a run of it starts with the set it finds", () =>
    Effect.gen(function* () {
      const zone = new Zone(["10.0.0.2", "10.0.0.1"])
      const first = yield* watch(zone)
      zone.answer = "ServerFailure"
      yield* TestClock.adjust(30_000)
      assert.match(failureOf(first.running.pollUnsafe()).problem, /ServerFailure/)
      assert.strictEqual(first.listening(), 0)

      const again: Array<ReadonlyArray<string>> = []
      zone.answer = ["10.0.0.1", "10.0.0.2"]
      yield* Stream.runForEach(first.endpoints, (set) => Effect.sync(() => again.push(set.map(({ id }) => id)))).pipe(
        Effect.forkChild
      )
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(zone.looked, [0, 30_000, 31_000])
      assert.deepStrictEqual(again, [[b, a]], "the same set, in the order it had")
      assert.strictEqual(first.listening(), 1)
    })
  )
})

describe("an interrupted stream leaves nothing behind", () => {
  /** A clock that knows who sleeps. */
  const counting = Effect.map(Clock.clockWith(Effect.succeed), (clock) => {
    let sleeping = 0
    const counted: Clock.Clock = {
      ...clock,
      sleep: (duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => sleeping++),
          () => clock.sleep(duration),
          () => Effect.sync(() => sleeping--)
        )
    }
    return { counted, sleeping: () => sleeping }
  })

  const states: ReadonlyArray<readonly [name: string, latency: number, asks: boolean]> = [
    ["between look-ups", 0, false],
    ["waiting for the distance", 0, true],
    ["during a look-up", 500, false]
  ]
  for (const [name, latency, asks] of states) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const { counted, sleeping } = yield* counting
        const zone = new Zone(["10.0.0.1"])
        zone.latency = latency
        const { running, ask, listening } = yield* Effect.provideService(watch(zone), Clock.Clock, counted)
        if (asks) yield* ask
        yield* TestClock.adjust(100)
        assert.deepStrictEqual([sleeping(), listening()], [1, 1])
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual([sleeping(), listening()], [0, 0])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(zone.looked, [0])
      })
    )
  }

  it.effect("nor does one that is left after an element", () =>
    Effect.gen(function* () {
      const { counted, sleeping } = yield* counting
      const { endpoints, running, listening } = yield* Effect.provideService(
        watch(new Zone(["10.0.0.1"])),
        Clock.Clock,
        counted
      )
      yield* Fiber.interrupt(running)
      const left = yield* Effect.forkChild(Effect.provideService(Stream.runHead(endpoints), Clock.Clock, counted))
      yield* TestClock.adjust(1000)
      yield* Fiber.join(left)
      assert.deepStrictEqual([sleeping(), listening()], [0, 0])
    })
  )
})
