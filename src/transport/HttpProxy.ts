/**
 * Which connections go through an HTTP proxy, and which proxy that is.
 *
 * The rule is gRPC's, and the same for every adapter. The proxy is named by the first of the variables `grpc_proxy`,
 * `https_proxy` and `http_proxy` that is set, as `http://user:password@host:port`, and asked to CONNECT to the server. The
 * first of `no_grpc_proxy` and `no_proxy` that is set lists who is reached without it: ends of host names, addresses,
 * ranges of addresses such as `10.0.0.0/8`, or `*`. Loopback is like any other address, so list it; Unix sockets never go
 * through a proxy. A variable that names no HTTP proxy is ignored. Where discovery has looked a name up, the connection is
 * to an address, and both are compared with the list.
 *
 * @see https://github.com/grpc/proposal/blob/master/A1-http-connect-proxy-support.md
 */
import { Result } from "effect"
import { IpInterface, IpNetwork, NetAddress } from "effect/net"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { nameOf } from "./Tls.ts"

/**
 * Through which proxy to connect: `false` through none, a URL through this one, whatever the environment says. Without an
 * option the environment decides.
 *
 * @category models
 * @since 0.1.0
 */
export type ProxyOption = false | string | { readonly url: string; readonly except?: ReadonlyArray<string> | undefined }

/**
 * A proxy as it is connected to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Proxy {
  readonly host: string
  readonly port: number
  /** `user:password`; not for the eyes of people. */
  readonly credentials: string | undefined
  /** Who has named it: a variable of the environment, or the option `proxy`. */
  readonly source: string
}

/**
 * The way to an endpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface Route {
  readonly proxy: Proxy | undefined
  /** What is wrong with the option, so that there is no way. */
  readonly problem?: string | undefined
  /** What is wrong with the environment, which is then ignored. */
  readonly ignored?: string | undefined
}

/** Variables, by their names. */
type Environment = Readonly<Record<string, string | undefined>>

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Reads a proxy's URL. What is wrong is said without quoting it, because it may hold a password. */
const parse = (url: string, source: string): Result.Result<Proxy, string> => {
  let read: URL
  try {
    read = new URL(url)
  } catch {
    return Result.fail(`${source}: not a URL; a proxy is written http://host:port`)
  }
  if (read.protocol !== "http:" || read.hostname === "") {
    const said = url.includes("://") ? ` ${JSON.stringify(read.protocol)} is no scheme for it;` : ""
    return Result.fail(`${source}:${said} a proxy is written http://host:port`)
  }
  const user = read.username === "" ? undefined : `${decoded(read.username)}:${decoded(read.password)}`
  return Result.succeed({
    host: read.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: read.port === "" ? 80 : Number(read.port),
    credentials: user,
    source
  })
}

const isInRange = (host: string, entry: string): boolean => {
  const address = Result.getOrUndefined(NetAddress.ipFromString(host))
  const range = Result.getOrUndefined(
    Result.map(IpInterface.fromString(entry, { prefix: "required" }), IpNetwork.fromInterface)
  )
  return address !== undefined && range !== undefined && IpNetwork.contains(range, address)
}

/** Whether a list like that of `no_proxy` has one of some hosts. */
const isListed = (hosts: ReadonlyArray<string>, list: ReadonlyArray<string>): boolean =>
  list
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || hosts.some((host) => host.endsWith(entry) || isInRange(host, entry)))

/** The hosts an endpoint is known by. */
const hostsOf = ({ address, authority }: Endpoint): ReadonlyArray<string> => {
  if (address._tag === "Unix") return []
  const host = address.host.toLowerCase()
  const isAddress = Result.isSuccess(NetAddress.ipFromString(host))
  return isAddress && authority !== undefined ? [host, nameOf(authority).toLowerCase()] : [host]
}

const firstSet = (environment: Environment, names: ReadonlyArray<string>): string | undefined =>
  names.find((name) => (environment[name] ?? "") !== "")

/**
 * The way to an endpoint, by the option if there is one, or else by the environment.
 *
 * @example
 * import { Endpoint, HttpProxy } from "trunkline"
 *
 * const endpoint = Endpoint.make(Endpoint.Address.Tcp({ host: "api.example.com", port: 443 }))
 * HttpProxy.route(endpoint, undefined, { https_proxy: "http://proxy:3128" }).proxy?.host // => "proxy"
 * HttpProxy.route(endpoint, undefined, { https_proxy: "http://proxy:3128", no_proxy: ".example.com" }).proxy // => undefined
 *
 * @category getters
 * @since 0.1.0
 */
export const route = (endpoint: Endpoint, option: ProxyOption | undefined, environment: Environment): Route => {
  const direct = { proxy: undefined }
  if (option === false || endpoint.address._tag === "Unix") return direct
  const hosts = hostsOf(endpoint)
  if (option !== undefined) {
    const { except = [], url } = typeof option === "string" ? { url: option } : option
    if (isListed(hosts, except)) return direct
    return Result.match(parse(url, "option proxy"), {
      onSuccess: (proxy): Route => ({ proxy }),
      onFailure: (problem): Route => ({ proxy: undefined, problem })
    })
  }
  const source = firstSet(environment, ["grpc_proxy", "https_proxy", "http_proxy"])
  if (source === undefined) return direct
  const exceptions = firstSet(environment, ["no_grpc_proxy", "no_proxy"])
  if (exceptions !== undefined && isListed(hosts, environment[exceptions]!.split(","))) return direct
  return Result.match(parse(environment[source]!, source), {
    onSuccess: (proxy): Route => ({ proxy }),
    onFailure: (ignored): Route => ({ proxy: undefined, ignored })
  })
}
