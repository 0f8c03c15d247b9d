/**
 * From a target as people write it to a discovery.
 *
 * A target names where the backends are listed: `greeter:50051`, `dns:///greeter:50051`, `unix:/run/greeter.sock`. What stands
 * before the colon is its scheme, and a scheme is one value in one map, so whoever has another kind of registry adds an entry
 * and every place that takes a target understands it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */
import { Context, Effect, Layer } from "effect"
import { type Discovery, DiscoveryError } from "./Discovery.ts"
import * as DnsDiscovery from "./DnsDiscovery.ts"
import * as StaticDiscovery from "./StaticDiscovery.ts"

/**
 * A target in its parts, as RFC 3986 has them: `scheme://authority/path`, or `scheme:path` without an authority.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  /** The whole target, as it was written. */
  readonly text: string
  /** In lower case. */
  readonly scheme: string
  /** Empty where there is none. For `dns` it is a name server. */
  readonly authority: string
  /** What remains, without the slash that follows an authority. */
  readonly path: string
}

/**
 * What makes a discovery of the targets of one scheme. A target that makes no sense fails when it is subscribed to.
 *
 * @category models
 * @since 0.1.0
 */
export type Scheme = (target: Target) => Discovery

const wrong = (target: string, problem: string): Discovery => ({
  target,
  subscribe: () => Effect.fail(new DiscoveryError({ target, problem }))
})

/** Addresses, separated by commas; each is read with the scheme in front that says what it may be. */
const list =
  (prefix: string): Scheme =>
  ({ path, text }) => {
    const { subscribe } = StaticDiscovery.make(path.split(",").map((address) => `${prefix}${address.trim()}`))
    return { target: text, subscribe }
  }

/**
 * The schemes that are always there.
 *
 * @category constants
 * @since 0.1.0
 */
export const builtin: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ["dns", ({ text }) => DnsDiscovery.make(text)],
  ["ipv4", list("ipv4:")],
  ["ipv6", list("ipv6:")],
  ["static", list("")],
  ["unix", ({ text }) => StaticDiscovery.make([text])]
])

/**
 * The schemes that targets may have.
 *
 * @category references
 * @since 0.1.0
 */
export const Schemes = Context.Reference<ReadonlyMap<string, Scheme>>("trunkline/discovery/Target/Schemes", {
  defaultValue: () => builtin
})

/** Something in front of a colon that may be a scheme. */
const prefixed = /^([a-z][a-z0-9+.-]*):(.*)$/is

/**
 * The parts of a target; `undefined` if it has no scheme. What only a port follows is a host, whatever it is called.
 *
 * @example
 * import { Target } from "trunkline"
 *
 * Target.parse("dns://8.8.8.8/greeter:50051") // => { text: "dns://8.8.8.8/greeter:50051", scheme: "dns", authority: "8.8.8.8", path: "greeter:50051" }
 * Target.parse("greeter:50051") // => undefined
 *
 * @category conversions
 * @since 0.1.0
 */
export const parse = (text: string): Target | undefined => {
  const [, prefix = "", rest = ""] = prefixed.exec(text) ?? []
  if (prefix === "" || /^\d*$/.test(rest)) return undefined
  const scheme = prefix.toLowerCase()
  if (!rest.startsWith("//")) return { text, scheme, authority: "", path: rest }
  const slash = rest.indexOf("/", 2)
  return slash < 0
    ? { text, scheme, authority: rest.slice(2), path: "" }
    : { text, scheme, authority: rest.slice(2, slash), path: rest.slice(slash + 1) }
}

const discoveryOf = (text: string, schemes: ReadonlyMap<string, Scheme>): Discovery => {
  const target = parse(text)
  const scheme = target === undefined ? undefined : schemes.get(target.scheme)
  if (target !== undefined && scheme !== undefined) return scheme(target)
  if (target !== undefined && text.includes("://")) {
    const known = [...schemes.keys()].sort().join(", ")
    return wrong(text, `unknown scheme ${JSON.stringify(target.scheme)}; known are ${known}`)
  }
  return DnsDiscovery.make(text)
}

/**
 * The discovery of a target, by the schemes of the context. A target without a scheme is `host:port`, and looked up by DNS.
 *
 * @example
 * import { Target } from "trunkline"
 *
 * Target.discovery("static:///10.0.0.1:50051,10.0.0.2:50051").target // => "static:///10.0.0.1:50051,10.0.0.2:50051"
 *
 * @category constructors
 * @since 0.1.0
 */
export const discovery = (target: string): Discovery => ({
  target,
  subscribe: (refresh) => Effect.flatMap(Schemes, (schemes) => discoveryOf(target, schemes).subscribe(refresh))
})

/**
 * Adds schemes to those of the context, or replaces some.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, StaticDiscovery, Target } from "trunkline"
 *
 * const Backends = Balancer.layer({ discovery: "team:///greeter" }).pipe(
 *   Layer.provide(Target.layer({ team: ({ path }) => StaticDiscovery.make([`${path}.team.internal:50051`]) }))
 * )
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (schemes: Readonly<Record<string, Scheme>>): Layer.Layer<never> =>
  Layer.effect(
    Schemes,
    Effect.map(Schemes, (known) => new Map([...known, ...Object.entries(schemes)]))
  )
