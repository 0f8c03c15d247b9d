/**
 * How the demo calls: the part of it that a program of your own would have too.
 */
import { Effect, Layer, Schedule } from "effect"
import {
  Backoff,
  Balancer,
  CallOptions,
  type Endpoint,
  PeakEwma,
  PowerOfTwo,
  Retry,
  StaticDiscovery,
  type Transport
} from "trunkline"
import { GrpcJsConnector } from "trunkline/grpc-js"
import { type Connector, type Discovery, PeerRegistry } from "trunkline/extend"
import * as Attempts from "./Attempts.ts"
import type { Journal } from "./Journal.ts"

/** For a whole call: its attempts, its waits for a backend and the sleeps between. */
export const deadline = "5 seconds"

export const withDeadline = CallOptions.withDeadline(deadline)

/**
 * Try again when the backend cannot be reached or took too long, up to three attempts. A policy is a plain Schedule, so
 * `Schedule.tap` can count what it decides, and `Effect.retry` understands it too.
 */
export const policy = (journal: Journal): Retry.RetryPolicy =>
  Retry.onCodes(
    ["UNAVAILABLE", "DEADLINE_EXCEEDED"],
    Backoff.exponential({ initial: "10 millis", max: "1 second" })
  ).pipe(
    Retry.maxAttempts(3),
    Schedule.tap(({ input }) => Effect.sync(() => journal.retry(input)))
  )

/**
 * gRPC waits 1 s before it connects again to a backend that refused, and then longer each time, up to two minutes. Who
 * watches twenty seconds wants to see more of it.
 */
const reconnect = Schedule.min([Schedule.exponential("200 millis", 1.6), Schedule.spaced("1 second")])

/** The most that can pass before a backend that listens again is connected to. */
export const longestReconnect = 1000

/**
 * A balanced transport over the endpoints, and the registry with its peers. The pool would make a registry of its own;
 * this one is shared, so that the demo can hold the same peers, which are those of the same connector, and look at them.
 */
export const layer = (
  endpoints: ReadonlyArray<Endpoint.Endpoint>,
  journal: Journal
): Layer.Layer<Transport.Transport | PeerRegistry.PeerRegistry | Connector.Connector, Discovery.DiscoveryError> =>
  Balancer.layer({
    discovery: StaticDiscovery.make(endpoints),
    picker: PowerOfTwo.make({ load: PeakEwma.make() })
  }).pipe(
    Layer.provideMerge(PeerRegistry.layer({ reconnect })),
    Layer.provideMerge(Attempts.layer(journal)),
    Layer.provide(GrpcJsConnector.layer()),
    Layer.provideMerge(Retry.layer(policy(journal)))
  )
