/**
 * The affinity key of a call: the one its caller names, or else the one in its request, by the rule of its method.
 */
import { Effect, Option, Pull, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Method } from "../call/Method.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Affinity } from "./Affinity.ts"
import type { Rule } from "./AffinityRule.ts"

type Failure = RpcError.RpcError

/** The key that the caller names. */
export const named = ({ options }: Call): string | undefined =>
  options.affinityKey === "" ? undefined : options.affinityKey

/** The rule for a call, unless the caller opts out with an empty key. */
export const ruleOf = (affinity: Affinity["Service"], method: Method<never, unknown>, call: Call): Rule | undefined =>
  call.options.affinityKey === "" ? undefined : affinity.ruleOf(method.path)

const isInMessage = (rule: Rule, call: Call): boolean =>
  rule.command !== "BIND" && call.options.affinityKey === undefined

/** The key in a request, by its rule. */
const read = (rule: Rule, request: unknown): Effect.Effect<string | undefined, Failure> => {
  const keys = rule.keys(request)
  return keys.length > 1
    ? Effect.fail(
        RpcError.make("INVALID_ARGUMENT", `${keys.length} affinity keys in a request that may have one`, {
          method: rule.method,
          progress: "not_started"
        })
      )
    : Effect.succeed(keys[0])
}

/** The key of a call with one request. */
export const ofRequest = (rule: Rule, request: unknown, call: Call): Effect.Effect<string | undefined, Failure> =>
  isInMessage(rule, call) ? read(rule, request) : Effect.succeed(named(call))

/** The first message of a stream, if it has one, and a stream of all messages. */
const peek = Effect.fnUntraced(function* <I>(requests: Stream.Stream<I, Failure>) {
  const pull = yield* Stream.toPull(requests)
  const first = yield* pull.pipe(
    Effect.map(Option.some),
    Pull.catchDone(() => Effect.succeedNone)
  )
  return Option.match(first, {
    onNone: () => ({ first: undefined, all: Stream.empty as Stream.Stream<I, Failure> }),
    onSome: (chunk) => ({
      first: chunk[0],
      all: Stream.concat(Stream.fromArray(chunk), Stream.fromPull(Effect.succeed(pull)))
    })
  })
})

/** The key of a call with a stream of requests, and the stream to send. Waits for the first request if it has the key. */
export const ofRequests = Effect.fnUntraced(function* <I>(
  rule: Rule,
  requests: Stream.Stream<I, Failure>,
  call: Call
): Effect.fn.Return<
  { readonly key: string | undefined; readonly requests: Stream.Stream<I, Failure> },
  Failure,
  Scope.Scope
> {
  if (!isInMessage(rule, call)) return { key: named(call), requests }
  const { all, first } = yield* Deadline.within(peek(requests), call, "the request that has its affinity key")
  return { key: first === undefined ? undefined : yield* read(rule, first), requests: all }
})
