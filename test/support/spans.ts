/** A tracer that keeps what it was told, and the calls that tests of spans make. */
import { Effect, Layer, Option, type Scope, Tracer } from "effect"
import { Balancer, Client, RoundRobin, StaticDiscovery } from "trunkline"
import type { Connector } from "trunkline/extend"
import { EchoService } from "../gen/echo_pb.ts"

export interface Recorder {
  readonly layer: Layer.Layer<never>
  /** In the order they began. */
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  /** The one span of a name. */
  readonly one: (name: string) => Tracer.NativeSpan
}

export const recorder = (): Recorder => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const one = (name: string) => {
    const found = spans.filter((span) => span.name === name)
    if (found.length !== 1) throw new Error(`${found.length} spans are named ${name}: ${tree(spans).join(", ")}`)
    return found[0]!
  }
  return { layer: Layer.succeed(Tracer.Tracer, tracer), spans, one }
}

const parentOf = (span: Tracer.AnySpan): Tracer.AnySpan | undefined =>
  span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined

/** `kind name` of every span, indented under its parent. */
export const tree = (spans: ReadonlyArray<Tracer.NativeSpan>): ReadonlyArray<string> => {
  const under = (id: string | undefined, indent: string): ReadonlyArray<string> =>
    spans
      .filter((span) => parentOf(span)?.spanId === id)
      .flatMap((span) => [`${indent}${span.kind} ${span.name}`, ...under(span.spanId, `${indent}  `)])
  return under(undefined, "")
}

/** How a span ended: its status code and the message of its error. */
export const ending = (span: Tracer.NativeSpan): ReadonlyArray<unknown> => {
  const { status } = span
  if (status._tag === "Started") return ["open"]
  const code = span.attributes.get("rpc.response.status_code")
  if (status.exit._tag === "Success") return [code]
  const [reason] = status.exit.cause.reasons
  return [code, reason?._tag === "Fail" && reason.error instanceof Error ? reason.error.message : reason?._tag]
}

/** A client of the echo service at these addresses. */
export const clientOf = (
  ...addresses: ReadonlyArray<string>
): Effect.Effect<Client.Client<typeof EchoService>, never, Connector.Connector | Scope.Scope> =>
  Effect.gen(function* () {
    const pool = Balancer.layer({ discovery: StaticDiscovery.make(addresses), picker: RoundRobin.make() })
    return yield* Effect.provide(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
  })
