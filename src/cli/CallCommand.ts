/**
 * `trunkline call`: one call through the whole stack, as a program would make it.
 */
import { Console, Data, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import type * as Metadata from "../call/Metadata.ts"
import * as GrpcJsConnector from "../grpcjs/GrpcJsConnector.ts"
import * as Peer from "../peer/Peer.ts"
import * as PowerOfTwo from "../picker/PowerOfTwo.ts"
import * as Balancer from "../balancer/Balancer.ts"
import * as Backoff from "../retry/Backoff.ts"
import * as Retry from "../retry/Retry.ts"
import * as ReflectedMethod from "../services/ReflectedMethod.ts"
import * as Printable from "../status/Printable.ts"
import * as Arguments from "./Arguments.ts"

/** Text that should be JSON and is not. */
export class InvalidJson extends Data.TaggedError("InvalidJson")<{ readonly what: string; readonly problem: string }> {
  override get message(): string {
    return `${this.what} is not JSON: ${this.problem}`
  }
}

/** A server that does not say what its methods are. */
export class NoReflection extends Data.TaggedError("NoReflection")<{ readonly peer: string }> {
  override get message(): string {
    return `${this.peer} serves no reflection, by which its methods are known`
  }
}

/** A value of JSON, as it is read. */
export type Json = Parameters<ReflectedMethod.ReflectedMethod["call"]>[0][number]

/** Reads JSON. */
export const parseJson = (what: string, text: string): Effect.Effect<Json, InvalidJson> =>
  Effect.try({
    try: () => JSON.parse(text) as Json,
    catch: (cause) => new InvalidJson({ what, problem: cause instanceof Error ? cause.message : "it cannot be read" })
  })

/** What is to be called, and how. */
export interface Input {
  readonly target: string
  readonly method: Arguments.Method
  readonly json: string
  readonly retry: number
  readonly deadline: Duration.Duration
  readonly header: Metadata.Metadata
  readonly tls: boolean
}

const stack = ({ retry, target, tls }: Input) => {
  const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
  // Who types a wrong address wants to hear of it, not to wait for a server to come up.
  const reconnect = Schedule.upTo(Peer.connectionBackoff, { times: retry - 1 })
  return Balancer.layer({ discovery: target, picker: PowerOfTwo.make(), reconnect }).pipe(
    Layer.provide(GrpcJsConnector.layer(tls ? { tls: {} } : undefined)),
    Layer.provideMerge(Retry.layer(policy.pipe(Retry.maxAttempts(retry))))
  )
}

/** What the server says of a method. */
const find = ({ name, service }: Arguments.Method) =>
  ReflectedMethod.find(service, name).pipe(
    Effect.catchReason("RpcError", "Unimplemented", (_, { peer = "the server" }) =>
      Effect.fail(new NoReflection({ peer }))
    )
  )

/** Makes the call and prints each message that comes back as a line of JSON. */
const run = (input: Input) =>
  Effect.gen(function* () {
    const json = yield* parseJson("the request", input.json)
    const { call } = yield* find(input.method)
    yield* Stream.runForEach(call(Array.isArray(json) ? json : [json]), (message) =>
      // JSON leaves characters as they are that a terminal obeys.
      Console.log(Printable.escapeJson(JSON.stringify(message)))
    )
  }).pipe(
    // For all of it: finding the method takes calls too.
    (self) =>
      Effect.clockWith((clock) =>
        Effect.provideService(self, Deadline.Current, Deadline.after(Deadline.nowUnsafe(clock), input.deadline))
      ),
    CallOptions.withMetadata(input.header),
    Effect.provide(stack(input))
  )

/** The command. */
export const command = Command.make(
  "call",
  {
    target: Argument.String("target").pipe(Argument.withDescription("Where the server is: host:port, or unix:/path")),
    method: Arguments.method("method").pipe(
      Argument.withDescription("package.Service/Method, which the server explains by reflection")
    ),
    json: Argument.String("json").pipe(
      Argument.withDescription("The request; an array of them for a method that takes a stream"),
      Argument.withDefault("{}")
    ),
    retry: Arguments.count("retry").pipe(
      Flag.withDescription("Makes at most so many attempts while the server is unavailable (default 1)"),
      Flag.withDefault(1)
    ),
    deadline: Arguments.time("deadline").pipe(
      Flag.withDescription("Ends the call after this time (default 10s)"),
      Flag.withDefault(Duration.seconds(10))
    ),
    header: Arguments.headers("header").pipe(
      Flag.withAlias("H"),
      Flag.withDescription("Adds metadata; may be repeated; a name that ends with -bin has base64")
    ),
    tls: Flag.Boolean("tls").pipe(
      Flag.withDescription("Encrypts, and trusts what this system trusts"),
      Flag.withDefault(false)
    )
  },
  run
).pipe(
  Command.withDescription("Calls a method and prints each answer as a line of JSON"),
  Command.withExamples([
    { command: `trunkline call localhost:50051 greeter.Greeter/SayHello '{"name":"Ada"}' --retry 3` },
    { command: "trunkline call api.example.com:443 shop.v1.Shop/List --tls -H 'authorization: Bearer …'" }
  ])
)
