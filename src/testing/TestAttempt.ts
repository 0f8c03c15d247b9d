/**
 * One attempt on the in-memory network, as both of its ends see it: what is sent with it, how it fails here and there, and
 * when it is over.
 *
 * The rules are those of the wires and are asked where the wires ask them: which metadata can be sent and how much of it,
 * what of a status arrives, and what an attempt may have come to when it fails.
 */
import { Effect, type Exit } from "effect"
import type { Call } from "../call/Call.ts"
import * as ContentType from "../call/ContentType.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Metadata from "../call/Metadata.ts"
import * as MetadataField from "../call/MetadataField.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type { Method } from "../call/Method.ts"
import type * as ServeCall from "../server/ServeCall.ts"
import * as FinalStatus from "../server/FinalStatus.ts"
import type { Handler } from "../server/Handlers.ts"
import type * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import type { TestHost } from "./TestHost.ts"
import type { TestSession } from "./TestSession.ts"

export type Failure = RpcError.RpcError

/** Where an attempt goes. */
export interface Site {
  readonly host: TestHost
  readonly session: TestSession
  readonly method: Method<never, unknown>
  /** Bytes of the metadata a client sends. */
  readonly maxMetadataBytes: number
}

type Place = Pick<Site, "host" | "method">

/** An error of the client's making. */
export const local = (code: Code.Code, message: string, at: Place, facts?: RpcError.Facts): Failure =>
  RpcError.make(code, message, { origin: "local", method: at.method.path, peer: at.host.address, ...facts })

/** A status as it arrives: what the server said, and where. */
const arrived = (status: FinalStatus.FinalStatus, at: Place, headers: Metadata.Metadata | undefined): Failure =>
  RpcError.make(status.code as Code.Code, status.message, {
    origin: "remote",
    method: at.method.path,
    peer: at.host.address,
    headers,
    trailers: status.trailers
  })

/** Bytes or a message, unless there is a reason why not. */
export const unless = <A>(value: A | Failure): Effect.Effect<A, Failure> =>
  value instanceof RpcError.RpcError ? Effect.fail(value) : Effect.succeed(value)

const millisLeft = (call: Call): number => Math.max(0, call.attemptDeadline - Deadline.nowUnsafe(call.clock))

const outOfTime = (call: Call, at: Place, facts?: RpcError.Facts): Failure => {
  const millis = Math.round(Deadline.nowUnsafe(call.clock) - call.start)
  const text = `deadline exceeded after ${millis} ms: ${at.method.path} on ${at.host.address}`
  return local("DEADLINE_EXCEEDED", text, at, facts)
}

/** What goes out with an attempt, or why nothing does. */
export const opening = (call: Call, site: Site): ServeCall.Incoming | Failure => {
  const timeoutMillis = millisLeft(call)
  if (timeoutMillis === 0) return outOfTime(call, site, { progress: "not_started" })
  const { metadata } = call.options
  const refuse = (code: Code.Code, problem: string) =>
    local(code, `cannot send ${site.method.path}: ${problem}`, site, { progress: "not_started" })
  const tooLarge = MetadataLimit.check(metadata, site.maxMetadataBytes)
  if (tooLarge !== undefined) return refuse("RESOURCE_EXHAUSTED", tooLarge.message)
  for (const [key, values] of metadata) {
    const problem = MetadataField.problemOf(key, values)
    if (problem !== undefined) return refuse("INTERNAL", new Metadata.MetadataError({ key, problem }).message)
  }
  const previous = call.attempt === 1 ? [] : [["grpc-previous-rpc-attempts", [String(call.attempt - 1)]] as const]
  return { metadata: new Map([...metadata, ...previous]), timeoutMillis, remote: "in memory" }
}

/** Who serves a method on this connection. */
export const handlerOf = ({ host, method, session }: Site): Effect.Effect<Handler, Failure> =>
  Effect.suspend(() => {
    const { application, maxMetadataBytes } = session.serving
    const refuse = ({ code, reason }: Failure) => {
      const status = { code, message: reason.message, trailers: Metadata.empty }
      return Effect.fail(arrived(FinalStatus.make(status, maxMetadataBytes), { host, method }, undefined))
    }
    const handler = application.router.get(method.path)
    if (handler === undefined) return refuse(application.unserved(method.path))
    const subtype = ContentType.subtypeOf(ContentType.ofRequests(method)) ?? ""
    const refusal = ContentType.refusal(handler.method, subtype)
    return refusal === undefined ? Effect.succeed(handler) : refuse(refusal)
  })

/** Response headers as they arrive. */
export const headersOf = (headers: Metadata.Metadata, { session }: Site): Metadata.Metadata =>
  MetadataLimit.fit(headers, session.serving.maxMetadataBytes)

/** What a server fiber ended with, as the client hears of it: the trailers, or the error. */
export const outcome = (
  exit: Exit.Exit<Metadata.Metadata, Failure>,
  site: Site,
  headers: Metadata.Metadata | undefined
): Effect.Effect<Metadata.Metadata, Failure> => {
  const status = FinalStatus.fromExit(exit, site.session.serving.maxMetadataBytes)
  return status.code === "OK" ? Effect.succeed(status.trailers) : Effect.fail(arrived(status, site, headers))
}

/** Runs an exchange until its deadline, and for as long as its connection holds. `headers` says what has come so far. */
export const within = <A, R>(
  exchange: Effect.Effect<A, Failure, R>,
  call: Call,
  site: Site,
  headers: () => Metadata.Metadata | undefined
): Effect.Effect<A, Failure, R> => {
  const text = (reason: string) => `connection lost: ${reason} (${site.method.path} on ${site.host.address})`
  const carried = site.session.carry(exchange, (reason) =>
    local("UNAVAILABLE", text(reason), site, { headers: headers() })
  )
  return call.attemptDeadline === Deadline.none
    ? carried
    : Effect.timeoutOrElse(carried, {
        duration: millisLeft(call),
        orElse: () => Effect.suspend(() => Effect.fail(outOfTime(call, site, { headers: headers() })))
      })
}
