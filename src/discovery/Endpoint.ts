/**
 * One backend as discovery names it.
 *
 * People write addresses in many forms: `host:port`, a bracketed IPv6 address, a gRPC target with a scheme. Peers are kept
 * by id, so every form of one address must become one id, and a form that is wrong must say what is wrong with it before
 * anything tries to connect.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */
import { Data, Result } from "effect"
import { Host, NetAddress } from "effect/net"

/**
 * Where to connect. A host that is not an IP address is resolved by the connector at each connect.
 *
 * @category models
 * @since 0.1.0
 */
export type Address = Data.TaggedEnum<{
  Tcp: { readonly host: string; readonly port: number }
  Unix: { readonly path: string }
}>

/**
 * Constructors and matchers of addresses.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Address = Data.taggedEnum<Address>()

/**
 * A backend. Equal ids are the same backend: a new set that names an id again keeps its peer and its connection, whatever
 * else it says of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Endpoint {
  readonly id: string
  readonly address: Address
  /** The name the server is known by, for `:authority` and certificates; `undefined` means the address itself. */
  readonly authority: string | undefined
  /**
   * Its share of the calls in comparison with others; 0 or more, default 1. A backend of weight 0 is sent calls only while
   * nobody else is ready, whatever the picker.
   */
  readonly weight: number
  /** Which group it belongs to where groups take over from each other; 0, the default, is the first. */
  readonly priority: number
  /** Where it runs, such as a zone; `undefined` if nobody says. */
  readonly locality: string | undefined
}

/**
 * What can be said of a backend besides its address.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attributes {
  readonly authority?: string | undefined
  readonly weight?: number | undefined
  readonly priority?: number | undefined
  readonly locality?: string | undefined
}

/**
 * An address that cannot be one. Says what was given and what is wrong with it.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressError extends Data.TaggedError("AddressError")<{
  readonly input: string
  readonly problem: string
}> {
  override get message(): string {
    return `address ${JSON.stringify(this.input)}: ${this.problem}`
  }
}

/**
 * A weight that cannot be one. Says whose it was.
 *
 * @category errors
 * @since 0.1.0
 */
export class WeightError extends Data.TaggedError("WeightError")<{
  readonly peer: string
  readonly weight: number
}> {
  override get message(): string {
    return `weight of ${this.peer}: ${this.weight} is not a finite number of 0 or more`
  }
}

/** A path that begins with two slashes would read as a target's authority; a host called `unix`, as a scheme. */
const isMistakable = (address: Address): boolean =>
  address._tag === "Unix" ? address.path.startsWith("//") : address.host === "unix"

/**
 * The canonical form of an address, which `parse` reads back: `1.2.3.4:50051`, `[::1]:50051`, `greeter:50051`,
 * `unix:/run/greeter.sock`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const format = (address: Address): string =>
  address._tag === "Unix"
    ? `unix:${isMistakable(address) ? "//" : ""}${address.path}`
    : isMistakable(address)
      ? `dns:${address.host}:${address.port}`
      : address.host.includes(":")
        ? `[${address.host}]:${address.port}`
        : `${address.host}:${address.port}`

/**
 * The endpoint of an address that is known to be good; `parse` is for text. It does not throw, so that one bad weight of many
 * that a discovery makes holds up no other: `checked` says whether the weight can be one, and whoever lists or reads endpoints
 * asks it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (address: Address, attributes?: Attributes): Endpoint => ({
  id: format(address),
  address,
  authority: attributes?.authority,
  weight: attributes?.weight ?? 1,
  priority: attributes?.priority ?? 0,
  locality: attributes?.locality
})

/** Objects made without types may hold anything. */
const isWeight = (weight: number): boolean => typeof weight === "number" && weight >= 0 && weight < Infinity

/**
 * An endpoint as it is, or what is wrong with its weight: it is negative, infinite or not a number.
 *
 * @category guards
 * @since 0.1.0
 */
export const checked = (endpoint: Endpoint): Result.Result<Endpoint, WeightError> =>
  isWeight(endpoint.weight)
    ? Result.succeed(endpoint)
    : Result.fail(new WeightError({ peer: endpoint.id, weight: endpoint.weight }))

/**
 * A full set as a pool reads it: each backend once, and what was wrong with the rest.
 *
 * @category models
 * @since 0.1.0
 */
export interface Merged {
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Listings that were left out. */
  readonly refused: ReadonlyArray<WeightError>
}

/**
 * Makes one backend of all listings of an id: their weights add up, and everything else is as the first one says. A listing
 * with a weight that cannot be one is left out; it holds up no other.
 *
 * @see https://github.com/grpc/proposal/blob/master/A42-xds-ring-hash-lb-policy.md for the weights that add up
 *
 * @example
 * import { Endpoint } from "trunkline"
 *
 * const address = Endpoint.Address.Tcp({ host: "a", port: 50051 })
 * const listed = [Endpoint.make(address, { weight: 3 }), Endpoint.make(address, { weight: 1 })]
 * Endpoint.merge(listed).endpoints.map(({ weight }) => weight) // => [4]
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = (listed: ReadonlyArray<Endpoint>): Merged => {
  const endpoints = new Map<string, Endpoint>()
  const refused: Array<WeightError> = []
  for (const listing of listed) {
    const endpoint = checked(listing)
    if (Result.isFailure(endpoint)) {
      refused.push(endpoint.failure)
      continue
    }
    const first = endpoints.get(listing.id)
    const weight = Math.min(Number.MAX_VALUE, (first?.weight ?? 0) + listing.weight)
    endpoints.set(listing.id, first === undefined ? listing : { ...first, weight })
  }
  return { endpoints: [...endpoints.values()], refused }
}

/** An address, or what is wrong with it. */
type Read<A> = Result.Result<A, string>

const schemes = ["dns", "ipv4", "ipv6", "unix"]

const quote = (text: string): string => JSON.stringify(text)

const unknownScheme = (scheme: string): string => `unknown scheme ${quote(scheme)}; known are ${schemes.join(", ")}`

const readIp = (family: "IPv4" | "IPv6", text: string): Read<string> =>
  (family === "IPv4" ? NetAddress.ipv4FromString(text) : NetAddress.ipv6FromString(text)).pipe(
    Result.map(NetAddress.formatIp),
    Result.mapError(({ message }) => `bad ${family} address ${quote(text)}: ${message}`)
  )

const readName = (text: string): Read<string> =>
  Result.mapError(Host.domainNameFromString(text), ({ message }) => `bad host name ${quote(text)}: ${message}`)

const readBracketed = (text: string): Read<string> =>
  text.includes("%")
    ? Result.mapError(
        NetAddress.scopedIpv6LiteralFromString(text),
        ({ message }) => `bad IPv6 address ${quote(text)}: ${message}`
      )
    : readIp("IPv6", text)

const readHost = (scheme: string, bracketed: string | undefined, bare: string): Read<string> => {
  if (scheme === "ipv4") return readIp("IPv4", bracketed === undefined ? bare : `[${bracketed}]`)
  if (bracketed !== undefined) return readBracketed(bracketed)
  if (scheme === "ipv6") return Result.fail(`bad IPv6 address ${quote(bare)}: it is written in brackets, [::1]:50051`)
  if (bare === "") return Result.fail("no host")
  return /^[\d.]+$/.test(bare) ? readIp("IPv4", bare) : readName(bare)
}

const readPort = (text: string | undefined, fallback: number | undefined): Read<number> => {
  const written = text ?? fallback?.toString() ?? ""
  if (written === "") return Result.fail("no port")
  if (!/^\d+$/.test(written)) return Result.fail(`port ${quote(written)} is not a number`)
  const port = Number(written)
  return port >= 1 && port <= 65535 ? Result.succeed(port) : Result.fail(`port ${written} is not from 1 to 65535`)
}

const tooManyColons = (text: string): string => {
  const isIpv6 = (part: string) => part.includes("::") || Result.isSuccess(NetAddress.ipv6FromString(part))
  if (isIpv6(text) || isIpv6(text.slice(0, text.lastIndexOf(":")))) {
    return "an IPv6 address is written in brackets, [::1]:50051"
  }
  const scheme = prefixed.exec(text)?.[1]
  return scheme === undefined || schemes.includes(scheme.toLowerCase()) ? "more than one colon" : unknownScheme(scheme)
}

const readTcp = (scheme: string, text: string, port: number | undefined): Read<Address> => {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s.exec(text)
  if (match === null) return Result.fail("brackets hold an IPv6 address and a port follows, [::1]:50051")
  const [, bracketed, bare = "", portText] = match
  if (portText?.includes(":") === true) return Result.fail(tooManyColons(text))
  return Result.flatMap(readHost(scheme, bracketed, bare), (host) =>
    Result.map(readPort(portText, port), (port) => Address.Tcp({ host, port }))
  )
}

const readUnix = (rest: string): Read<Address> => {
  if (/^\/\/(?!\/)/.test(rest)) return Result.fail("unix:// is followed by an absolute path, unix:///run/greeter.sock")
  const path = rest.startsWith("///") ? rest.slice(2) : rest
  if (path === "" || path === "/") return Result.fail("no path")
  return path.includes("\0") ? Result.fail("a path holds no NUL") : Result.succeed(Address.Unix({ path }))
}

/** Something in front of a colon that may be a scheme. */
const prefixed = /^([a-z][a-z0-9+.-]*):(.*)$/is

const readText = (input: string, port: number | undefined): Read<Address> => {
  if (input === "") return Result.fail("empty")
  const [, prefix = "", rest = ""] = prefixed.exec(input) ?? []
  const scheme = prefix.toLowerCase()
  if (scheme === "unix") return readUnix(rest)
  // A host may well be called `dns`; what is nothing but a port after it says that it is one.
  if (schemes.includes(scheme) && !/^\d*$/.test(rest)) {
    return /^\/\/(?!\/)/.test(rest)
      ? Result.fail(`${scheme}: is followed by host:port or ///host:port; a name server cannot be chosen here`)
      : readTcp(scheme, rest.replace(/^\/\/\//, ""), port)
  }
  return rest.startsWith("//") ? Result.fail(unknownScheme(prefix)) : readTcp("", input, port)
}

/**
 * Reads `host:port`, `1.2.3.4:port`, `[::1]:port`, or a gRPC target of the schemes `dns`, `ipv4`, `ipv6` and `unix`.
 * `options.port` is for addresses that name none.
 *
 * @example
 * import { Result } from "effect"
 * import { Endpoint } from "trunkline"
 *
 * Result.getOrThrow(Endpoint.parse("dns:///Greeter:50051")).id // => "greeter:50051"
 * Result.getOrThrow(Endpoint.parse("[0:0::1]:50051")).id // => "[::1]:50051"
 *
 * @category conversions
 * @since 0.1.0
 */
export const parse = (
  input: string,
  options?: { readonly port?: number | undefined }
): Result.Result<Endpoint, AddressError> =>
  readText(input, options?.port).pipe(
    Result.map((address) => make(address)),
    Result.mapError((problem) => new AddressError({ input, problem }))
  )

/**
 * The endpoint of a text, or one that was made already, checked.
 *
 * @category conversions
 * @since 0.1.0
 */
export const read = (endpoint: string | Endpoint): Result.Result<Endpoint, AddressError | WeightError> =>
  typeof endpoint === "string" ? parse(endpoint) : checked(endpoint)

/**
 * The name a connection to an endpoint is opened for: its authority, or else its address.
 *
 * @category getters
 * @since 0.1.0
 */
export const authorityOf = ({ address, authority }: Endpoint): string => {
  if (authority !== undefined) return authority
  if (address._tag === "Unix") return "localhost"
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}
