/**
 * Which key a call has: the one its caller names, or else the one its method's rule finds in its request.
 */
import { Effect, Option, Pull, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Method } from "../call/Method.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Affinity } from "./Affinity.ts"
import type { Rule } from "./AffinityRule.ts"

type Failure = RpcError.RpcError

/** The key its caller names. */
export const named = ({ options }: Call): string | undefined =>
  options.affinityKey === "" ? undefined : options.affinityKey

/** The rule that holds for a call, if there is one and its caller does not forbid it. */
export const ruleOf = (affinity: Affinity["Service"], method: Method<never, unknown>, call: Call): Rule | undefined =>
  call.options.affinityKey === "" ? undefined : affinity.ruleOf(method.path)

const isInMessage = (rule: Rule, call: Call): boolean =>
  rule.command !== "BIND" && call.options.affinityKey === undefined

/** The key of a request that a rule names one for. */
const read = (rule: Rule, request: unknown, method: string): Effect.Effect<string | undefined, Failure> => {
  const keys = rule.keys(request)
  return keys.length > 1
    ? Effect.fail(
        RpcError.make("INVALID_ARGUMENT", `${keys.length} affinity keys in a request that may have one`, {
          method,
          progress: "not_started"
        })
      )
    : Effect.succeed(keys[0])
}

/** The key of a call with one request. */
export const ofRequest = (
  rule: Rule,
  method: Method<never, unknown>,
  request: unknown,
  call: Call
): Effect.Effect<string | undefined, Failure> =>
  isInMessage(rule, call) ? read(rule, request, method.path) : Effect.succeed(named(call))

/** The first message of a stream, if it has one, and the whole stream again. */
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

/** The key of a call with a stream of requests, which is waited for if the first of them has it; and the stream to send. */
export const ofRequests = Effect.fnUntraced(function* <I>(
  rule: Rule,
  method: Method<never, unknown>,
  requests: Stream.Stream<I, Failure>,
  call: Call
): Effect.fn.Return<
  { readonly key: string | undefined; readonly requests: Stream.Stream<I, Failure> },
  Failure,
  Scope.Scope
> {
  if (!isInMessage(rule, call)) return { key: named(call), requests }
  const { all, first } = yield* Deadline.within(peek(requests), call, "the request that has its affinity key")
  return { key: first === undefined ? undefined : yield* read(rule, first, method.path), requests: all }
})
