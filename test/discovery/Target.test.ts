import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { Dns } from "effect/net"
import { Endpoint, StaticDiscovery, Target } from "trunkline"

const names = (text: string) =>
  Target.discovery(text)
    .subscribe(Stream.never)
    .pipe(
      Effect.flatMap((endpoints) => Stream.runHead(endpoints)),
      Effect.map((set) => Option.getOrThrow(set).map((endpoint) => Endpoint.format(endpoint.address)))
    )

const resolving = Dns.make({
  lookup: (name) => Effect.fail(new Dns.DnsError({ method: "lookup", hostname: name, reason: "NotFound" })),
  resolve: () => Effect.succeed([])
})

describe("a target", () => {
  it.each([
    ["greeter:50051", undefined],
    ["dns:50051", undefined],
    ["DNS:///greeter:1", { scheme: "dns", authority: "", path: "greeter:1" }],
    ["dns://8.8.8.8/greeter:1", { scheme: "dns", authority: "8.8.8.8", path: "greeter:1" }],
    ["unix:run/x.sock", { scheme: "unix", authority: "", path: "run/x.sock" }],
    ["k8s:///greeter.team:grpc", { scheme: "k8s", authority: "", path: "greeter.team:grpc" }],
    ["xds://only-authority", { scheme: "xds", authority: "only-authority", path: "" }]
  ])("%s", (text, parts) =>
    assert.deepStrictEqual(Target.parse(text), parts === undefined ? undefined : { text, ...parts })
  )

  it.effect.each([
    ["static:///a:1,b:2, c:3", ["a:1", "b:2", "c:3"]],
    ["static:a:1", ["a:1"]],
    ["ipv4:10.0.0.1:1,10.0.0.2:2", ["10.0.0.1:1", "10.0.0.2:2"]],
    ["ipv6:[::1]:1", ["[::1]:1"]],
    ["unix:/run/greeter.sock", ["unix:/run/greeter.sock"]],
    ["10.0.0.1:50051", ["10.0.0.1:50051"]],
    ["dns:///10.0.0.1:50051", ["10.0.0.1:50051"]]
  ] as const)("%s is a list", ([text, ids]) =>
    Effect.map(names(text), (found) => assert.deepStrictEqual(found, [...ids]))
  )

  it.effect.each([
    ["consul:///greeter", 'unknown scheme "consul"; known are dns, ipv4, ipv6, static, unix'],
    ["static:///", "empty"],
    ["ipv4:greeter:1", 'bad IPv4 address "greeter"']
  ] as const)("%s says what is wrong", ([text, problem]) =>
    Effect.map(Effect.flip(names(text)), (error) => assert.include(error.message, problem))
  )

  it.effect("without a scheme is a name to look up", () =>
    Effect.flip(names("greeter:50051")).pipe(
      Effect.provideService(Dns.Dns, resolving),
      Effect.map((error) => assert.include(error.message, "look-up of greeter failed: NotFound"))
    )
  )

  it.effect("may have a scheme of one's own, which the message about unknown ones then names", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* names("team:///greeter"), ["greeter.internal:1"])
      const error = yield* Effect.flip(names("consul:///greeter"))
      assert.include(error.message, "known are dns, ipv4, ipv6, static, team, unix")
    }).pipe(
      Effect.provide(
        Target.layer({ team: ({ path }) => StaticDiscovery.make([`${path}.internal:1`]) }).pipe(Layer.orDie)
      )
    )
  )
})
