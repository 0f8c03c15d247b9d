/**
 * The way to an endpoint: where its socket goes, through which proxy, and what TLS must find there.
 */
import type * as net from "node:net"
import type { SecureContext } from "node:tls"
import { authorityOf, type Endpoint, format } from "../discovery/Endpoint.ts"
import * as ConnectFailure from "../transport/ConnectFailure.ts"
import { type Proxy, type ProxyOption, route } from "../transport/HttpProxy.ts"
import { type ClientTls, nameOf } from "../transport/Tls.ts"
import { clientContext } from "./Pem.ts"

/** A client's keys and certificates in the form TLS uses them. */
export interface Identity {
  readonly settings: ClientTls
  /** Throws where they cannot be used. */
  readonly context: () => SecureContext
}

/** Reads a set at its first use. */
export const identity = (settings: ClientTls): Identity => {
  let context: SecureContext | undefined
  return { settings, context: () => (context ??= clientContext(settings)) }
}

export interface Way {
  readonly endpoint: Endpoint
  /** The latest keys and certificates; plain text without. */
  readonly identity: (() => Identity) | undefined
  readonly proxy: Proxy | undefined
  /** The name the certificate must be for. */
  readonly name: string
  /** Why there is no way at all. */
  readonly problem: string | undefined
  /** What was wrong with the environment, which was ignored. */
  readonly ignored: string | undefined
}

/** Looks at the environment as it is now. */
export const make = (
  endpoint: Endpoint,
  options: {
    readonly identity: (() => Identity) | undefined
    readonly proxy: ProxyOption | undefined
    readonly name?: string | undefined
  }
): Way => {
  const { ignored, problem, proxy } = route(endpoint, options.proxy, process.env)
  const name = options.name ?? nameOf(authorityOf(endpoint))
  return { endpoint, identity: options.identity, proxy, name, problem, ignored }
}

/** What is known to be wrong before anything is opened. */
export const problemOf = ({ identity, problem }: Way): string | undefined => {
  if (problem !== undefined || identity === undefined) return problem
  try {
    identity().context()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const formatProxy = ({ host, port }: Proxy): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

const aimOf = (way: Way): ConnectFailure.Aim => {
  const { address } = way.endpoint
  const settings = way.identity?.().settings
  return {
    where: format(address),
    host: address._tag === "Unix" ? address.path : address.host,
    isUnix: address._tag === "Unix",
    name: way.name,
    secure: settings !== undefined,
    identified: settings?.cert !== undefined,
    ownAuthorities: settings?.ca !== undefined,
    proxy:
      way.proxy === undefined
        ? undefined
        : { where: formatProxy(way.proxy), host: way.proxy.host, source: way.proxy.source }
  }
}

/** An error of any kind as far as it says something. */
const saidOf = (error: unknown): ConnectFailure.Said => {
  // A host with several addresses has an error for each; the last address is the one that everybody tries.
  if (error instanceof AggregateError && error.errors.length > 0) return saidOf(error.errors.at(-1))
  if (!(error instanceof Error)) return { message: error === undefined ? "" : String(error) }
  const { cert, code } = error as Error & {
    readonly cert?: { readonly subjectaltname?: string }
    readonly code?: unknown
  }
  return {
    code: typeof code === "string" ? code : undefined,
    message: error.message,
    names: cert?.subjectaltname
  }
}

/** Why a step of the way failed. */
export const explain = (way: Way, step: ConnectFailure.Step, error: unknown): string =>
  ConnectFailure.explain(aimOf(way), step, saidOf(error))

/** Where the socket goes, which the server's name has no say in. */
export const socketOf = ({ endpoint: { address }, proxy }: Way): net.NetConnectOpts =>
  proxy !== undefined
    ? { host: proxy.host, port: proxy.port }
    : address._tag === "Unix"
      ? { path: address.path }
      : { host: address.host, port: address.port }
