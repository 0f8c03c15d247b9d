/**
 * `trunkline call`: one call through the whole stack, as a program would make it.
 */
import { Console, Data, Effect, Layer, Stream } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import * as DnsDiscovery from "../discovery/DnsDiscovery.ts"
import * as StaticDiscovery from "../discovery/StaticDiscovery.ts"
import * as GrpcJsConnector from "../grpcjs/GrpcJsConnector.ts"
import * as PowerOfTwo from "../picker/PowerOfTwo.ts"
import * as Balancer from "../pool/Balancer.ts"
import * as Backoff from "../retry/Backoff.ts"
import * as Retry from "../retry/Retry.ts"
import * as ReflectedMethod from "../services/ReflectedMethod.ts"
import type { Command } from "./Arguments.ts"

/** Text that should be JSON and is not. */
export class InvalidJson extends Data.TaggedError("InvalidJson")<{ readonly what: string; readonly problem: string }> {
  override get message(): string {
    return `${this.what} is not JSON: ${this.problem}`
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

const stack = ({ attempts, target, tls }: Command & { readonly _tag: "Call" }) => {
  const isSocket = target.startsWith("unix:")
  const discovery = isSocket ? StaticDiscovery.make([target]) : DnsDiscovery.make(target)
  const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
  return Balancer.layer({ discovery, picker: PowerOfTwo.make() }).pipe(
    Layer.provide(GrpcJsConnector.layer(tls ? { tls: {} } : undefined)),
    Layer.provideMerge(Retry.layer(policy.pipe(Retry.maxAttempts(attempts))))
  )
}

/** Makes the call and prints each message that comes back as a line of JSON. */
export const run = (command: Command & { readonly _tag: "Call" }) =>
  Effect.gen(function* () {
    const json = yield* parseJson("the request", command.json)
    const { call } = yield* ReflectedMethod.find(command.service, command.method)
    yield* Stream.runForEach(call(Array.isArray(json) ? json : [json]), (message) =>
      Console.log(JSON.stringify(message))
    )
  }).pipe(
    // For all of it: finding the method takes calls too.
    (self) =>
      Effect.clockWith((clock) =>
        Effect.provideService(self, Deadline.Current, Deadline.after(Deadline.nowUnsafe(clock), command.deadline))
      ),
    CallOptions.withMetadata(command.metadata),
    Effect.provide(stack(command))
  )
