/**
 * Effect's `Dns` service on Node's resolver.
 *
 * `lookup` asks the operating system (`getaddrinfo`), as a connecting socket would, so the hosts file counts and the
 * order is the system's preference. `resolve` asks name servers for records. `@effect/platform-node` has such a service
 * too, but wants a newer Node than this library does; a program that uses it simply provides its layer.
 */
import dns from "node:dns/promises"
import { Duration, Effect, Layer, Predicate, Result } from "effect"
import { Dns, Host, NetAddress } from "effect/net"

type Method = Dns.DnsError["method"]

/** What Node's codes mean, those of getaddrinfo and those of c-ares. */
const reasons: ReadonlyMap<unknown, Dns.DnsErrorReason> = new Map<unknown, Dns.DnsErrorReason>([
  ["ENOTFOUND", "NotFound"],
  ["ENODATA", "NotFound"],
  ["ENONAME", "NotFound"],
  ["ETIMEOUT", "Timeout"],
  ["ETIMEDOUT", "Timeout"],
  ["EAI_AGAIN", "Temporary"],
  ["ECONNREFUSED", "Refused"],
  ["EREFUSED", "Refused"],
  ["ESERVFAIL", "ServerFailure"],
  ["EAI_FAIL", "ServerFailure"],
  ["EBADNAME", "BadName"],
  ["EBADRESP", "InvalidResponse"],
  ["ENOTIMP", "Unsupported"]
])

/** Asks Node, and turns its rejections and the answers that make no sense into `DnsError`s. */
const query = <A, B>(
  about: { readonly method: Method; readonly hostname: string; readonly recordType?: Dns.RecordType },
  ask: () => Promise<ReadonlyArray<A>>,
  read: (answer: A) => Result.Result<B, NetAddress.NetAddressError>
): Effect.Effect<ReadonlyArray<B>, Dns.DnsError> =>
  Effect.tryPromise({
    try: ask,
    catch: (cause) => {
      const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
      return new Dns.DnsError({ ...about, reason: reasons.get(code) ?? "Unknown", cause })
    }
  }).pipe(
    Effect.flatMap((answers) =>
      Effect.fromResult(Result.all(answers.map(read))).pipe(
        Effect.mapError((cause) => new Dns.DnsError({ ...about, reason: "InvalidResponse", cause }))
      )
    )
  )

const lookup = (hostname: Host.DomainName, family: NetAddress.IpFamily | undefined) =>
  query(
    { method: "lookup", hostname },
    () =>
      dns.lookup(hostname, {
        all: true,
        verbatim: true,
        family: family === undefined ? 0 : family === "IPv4" ? 4 : 6
      }),
    ({ address }) => NetAddress.ipFromString(address)
  )

/** A name as an answer spells it. Node drops the last dot, which leaves nothing of the root. */
const nameOf = (text: string): Result.Result<Host.DomainName, NetAddress.NetAddressError> =>
  Result.map(Host.domainNameFromString(text === "" ? "." : text), Host.toFullyQualified)

/** The records of one type, of a name. */
type Resolve = (hostname: Host.DomainName) => Effect.Effect<ReadonlyArray<Dns.DnsRecord>, Dns.DnsError>

/** Resolves one type of record with a function of Node's resolver. */
const resolver =
  <A>(
    recordType: Dns.RecordType,
    ask: (hostname: string) => Promise<ReadonlyArray<A>>,
    read: (answer: A) => Result.Result<Dns.DnsRecord, NetAddress.NetAddressError>
  ): Resolve =>
  (hostname) =>
    query({ method: "resolve", hostname, recordType }, () => ask(hostname), read)

const resolvers: Partial<Readonly<Record<Dns.RecordType, Resolve>>> = {
  A: resolver(
    "A",
    (hostname) => dns.resolve4(hostname),
    (ip) => Result.flatMap(NetAddress.ipv4FromString(ip), (address) => Dns.makeRecord("A", { address }))
  ),
  AAAA: resolver(
    "AAAA",
    (hostname) => dns.resolve6(hostname),
    (ip) => Result.flatMap(NetAddress.ipv6FromString(ip), (address) => Dns.makeRecord("AAAA", { address }))
  ),
  CNAME: resolver(
    "CNAME",
    (hostname) => dns.resolveCname(hostname),
    (name) => Result.flatMap(nameOf(name), (target) => Dns.makeRecord("CNAME", { target }))
  ),
  MX: resolver(
    "MX",
    (hostname) => dns.resolveMx(hostname),
    ({ exchange, priority }) =>
      Result.flatMap(nameOf(exchange), (exchange) => Dns.makeRecord("MX", { exchange, priority }))
  ),
  NS: resolver(
    "NS",
    (hostname) => dns.resolveNs(hostname),
    (name) => Result.flatMap(nameOf(name), (host) => Dns.makeRecord("NS", { host }))
  ),
  PTR: resolver(
    "PTR",
    (hostname) => dns.resolvePtr(hostname),
    (name) => Dns.makeRecord("PTR", { host: `${name}.` })
  ),
  SOA: resolver(
    "SOA",
    (hostname) => dns.resolveSoa(hostname).then((soa) => [soa]),
    (soa) =>
      Result.flatMap(nameOf(soa.nsname), (primary) =>
        Dns.makeRecord("SOA", {
          primary,
          admin: `${soa.hostmaster}.`,
          serial: soa.serial,
          refresh: Duration.seconds(soa.refresh),
          retry: Duration.seconds(soa.retry),
          expire: Duration.seconds(soa.expire),
          minimum: Duration.seconds(soa.minttl)
        })
      )
  ),
  SRV: resolver(
    "SRV",
    (hostname) => dns.resolveSrv(hostname),
    ({ name, port, priority, weight }) =>
      Result.flatMap(nameOf(name), (target) => Dns.makeRecord("SRV", { target, port, priority, weight }))
  ),
  TXT: resolver(
    "TXT",
    (hostname) => dns.resolveTxt(hostname),
    ([first = "", ...rest]) => Dns.makeRecord("TXT", { chunks: [first, ...rest] })
  )
}

const resolve = (
  hostname: Host.DomainName,
  recordType: Dns.RecordType
): Effect.Effect<ReadonlyArray<Dns.DnsRecord>, Dns.DnsError> =>
  resolvers[recordType]?.(hostname) ??
  Effect.fail(new Dns.DnsError({ method: "resolve", hostname, recordType, reason: "Unsupported" }))

/**
 * The `Dns` service of this Node process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Dns.Dns["Service"] => Dns.make({ lookup, resolve })

/**
 * The `Dns` service of this Node process, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Dns.Dns> = Layer.sync(Dns.Dns, make)
