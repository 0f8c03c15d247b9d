/**
 * The backends behind a host name.
 *
 * A name with several addresses is several backends, and the addresses change while a program runs. DNS does not notify
 * clients, so a look-up is repeated on a schedule, and at once when a peer has failed and the pool requests it. Many peers
 * fail at the same time, so requests conflate and there is a minimum interval between look-ups.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */
import { Clock, Duration, Effect, Latch, Option, Pull, Schedule, Stream } from "effect"
import { Dns, Host, NetAddress } from "effect/net"
import { type Discovery, DiscoveryError } from "./Discovery.ts"
import * as Endpoint from "./Endpoint.ts"
import * as NodeDns from "./NodeDns.ts"
import * as StaticDiscovery from "./StaticDiscovery.ts"

/**
 * How to look a name up, and how often.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The port when the target names none. */
  readonly port?: number | undefined
  /** When to look again, stepped after each look-up. When it ends, only requests look. Default 30 seconds after. */
  readonly refresh?: Schedule.Schedule<unknown> | undefined
  /** The least time from the start of one look-up to the start of the next. Default 1 second. */
  readonly minInterval?: Duration.Input | undefined
  /** Which addresses to use. Default both. */
  readonly family?: "ipv4" | "ipv6" | "both" | undefined
  /** The name the servers are known by. Default `host:port` of the target. */
  readonly authority?: string | undefined
}

const families = { ipv4: { family: "IPv4" }, ipv6: { family: "IPv6" }, both: undefined } as const

/**
 * What is in both sets in the order it had, then what is new in the resolver's order: a resolver that rotates its answers
 * changes nothing, and one that prefers near addresses is heard.
 */
const inOrder = (
  previous: ReadonlyArray<Endpoint.Endpoint>,
  next: ReadonlyArray<Endpoint.Endpoint>
): ReadonlyArray<Endpoint.Endpoint> => {
  const byId = new Map(next.map((endpoint) => [endpoint.id, endpoint]))
  const kept = previous.filter(({ id }) => byId.has(id))
  for (const { id } of kept) byId.delete(id)
  return [...kept, ...byId.values()]
}

const sameIds = (a: ReadonlyArray<Endpoint.Endpoint>, b: ReadonlyArray<Endpoint.Endpoint>): boolean =>
  a.length === b.length && a.every(({ id }, i) => id === b[i]?.id)

/** Where to look: the address of the target, which must have a host. */
const locate = Effect.fnUntraced(function* (
  target: string,
  port: number | undefined
): Effect.fn.Return<Endpoint.Address & { readonly _tag: "Tcp" }, Endpoint.AddressError> {
  const { address } = yield* Effect.fromResult(Endpoint.parse(target, { port }))
  if (address._tag === "Tcp") return address
  return yield* new Endpoint.AddressError({ input: target, problem: "a Unix socket has no host name to look up" })
})

/** How look-ups follow each other. */
interface Repetition {
  readonly schedule: Schedule.Schedule<unknown>
  readonly refresh: Stream.Stream<void>
  /** Waits for the minimum interval between two look-ups. */
  readonly turn: Effect.Effect<void>
}

/** Looks up at once, then on the schedule and on request. */
const repeated = <A, E>(look: Effect.Effect<A, E>, { refresh, schedule, turn }: Repetition): Stream.Stream<A, E> =>
  Effect.gen(function* () {
    const requested = Latch.makeUnsafe()
    yield* Effect.forkScoped(
      Stream.runForEach(refresh, () => requested.open),
      { startImmediately: true }
    )
    const step = yield* Schedule.toStepWithSleep(schedule)
    const scheduled = Pull.catchDone(step(undefined), () => Effect.never)
    // Requests up to the start of a look-up are served by it; those after that by the next.
    const lookInTurn = Effect.tap(turn, () => requested.close).pipe(Effect.andThen(look))
    const lookAgain = Effect.raceFirst(scheduled, requested.await).pipe(Effect.andThen(lookInTurn))
    return Stream.concat(Stream.fromEffect(lookInTurn), Stream.fromEffectRepeat(lookAgain))
  }).pipe(Stream.unwrap)

/**
 * The backends of `host:port` or `dns:///host:port`, or of a plain host with `options.port`. Addresses come from the
 * `Dns` service of the context if there is one, else from Node's resolver; a target that is an IP address is itself the
 * backend and never looked up.
 *
 * @example
 * import { DnsDiscovery } from "trunkline"
 *
 * DnsDiscovery.make("dns:///greeter:50051", { family: "ipv4" }).target // => "dns:///greeter:50051"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (target: string, options?: Options): Discovery => {
  const minInterval = Duration.toMillis(options?.minInterval ?? "1 second")
  const schedule = options?.refresh ?? Schedule.spaced("30 seconds")

  const subscribe = Effect.fnUntraced(function* (
    refresh: Stream.Stream<void>
  ): Effect.fn.Return<Stream.Stream<ReadonlyArray<Endpoint.Endpoint>, DiscoveryError>, DiscoveryError> {
    const { host, port } = yield* Effect.mapError(
      locate(target, options?.port),
      (cause) => new DiscoveryError({ target, problem: cause.problem, cause })
    )
    if (!Host.isDomainName(host)) {
      const literal = Endpoint.make(Endpoint.Address.Tcp({ host, port }), { authority: options?.authority })
      return yield* StaticDiscovery.make([literal]).subscribe(refresh)
    }
    const dns = Option.getOrElse(yield* Effect.serviceOption(Dns.Dns), NodeDns.make)
    // A last dot speaks to resolvers; certificates and proxies do not know the name with it.
    const authority = options?.authority ?? Endpoint.format(Endpoint.Address.Tcp({ host: Host.toRelative(host), port }))

    // These outlive a failed stream, so that one which is run again keeps the distance and the order.
    let started = -Infinity
    let listed: ReadonlyArray<Endpoint.Endpoint> = []

    /** Takes the turn to look, when it comes. */
    const turn: Effect.Effect<void> = Clock.clockWith((clock) => {
      const now = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      const wait = Math.ceil(started + minInterval - now)
      if (wait > 0) return Effect.flatMap(Effect.sleep(wait), () => turn)
      started = now
      return Effect.void
    })

    const look = Effect.suspend(() => dns.lookup(host, families[options?.family ?? "both"])).pipe(
      Effect.mapError(
        (cause) => new DiscoveryError({ target, problem: `look-up of ${host} failed: ${cause.reason}`, cause })
      ),
      Effect.map((addresses) => {
        const found = addresses.map((ip) =>
          Endpoint.make(Endpoint.Address.Tcp({ host: NetAddress.formatIp(ip), port }), { authority })
        )
        listed = inOrder(listed, found)
        return listed
      })
    )

    return Stream.changesWith(repeated(look, { refresh, schedule, turn }), sameIds)
  })

  return { target, subscribe }
}
