/**
 * What a client shows of itself to whoever debugs the program: what is left of its budget, and what its policies do.
 */
import { Clock, Effect, Option, Scope } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type * as Method from "../call/Method.ts"
import * as Introspection from "../introspection/Introspection.ts"
import type * as Snapshot from "../introspection/Snapshot.ts"
import * as Hedge from "../retry/Hedge.ts"
import * as MethodPolicy from "../policy/MethodPolicy.ts"
import * as Retry from "../retry/Retry.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"

/** What a client knows of itself. */
export interface Facts {
  readonly service: string
  readonly policies: ReadonlyMap<Method.Any, MethodPolicy.MethodPolicy>
  readonly budget: RetryBudget
  /** Whether the budget was given, so that others may draw on it. */
  readonly shared: boolean
}

/** What the policies do, in words; methods that are treated alike together. */
const explain = (own: MethodPolicy.MethodPolicy, policies: Facts["policies"]): Snapshot.ClientReading["policies"] => {
  const methods = new Map<string, Array<string>>()
  for (const [method, policy] of policies) {
    const text = MethodPolicy.explain(policy)
    methods.set(text, [...(methods.get(text) ?? []), method.path.slice(method.path.lastIndexOf("/") + 1)])
  }
  const text = own.retry === undefined && own.hedge === undefined ? "one attempt" : MethodPolicy.explain(own)
  return [
    { of: methods.size === 0 ? "every method" : "other methods", text },
    ...[...methods].map(([text, names]) => ({ of: names.join(", "), text }))
  ]
}

/**
 * Shows a client until the scope that it is made in closes. A client made outside of any scope has no end that anybody
 * could tell, and is not shown.
 */
export const register = Effect.fnUntraced(function* ({ budget, policies, service, shared }: Facts) {
  const introspection = yield* Effect.serviceOption(Introspection.Introspection)
  const scope = yield* Effect.serviceOption(Scope.Scope)
  if (Option.isNone(introspection) || Option.isNone(scope)) return
  const clock = yield* Clock.Clock
  const own = { retry: yield* Retry.Current, hedge: yield* Hedge.Current }
  // Asking a policy what it does means running it, so that is done once, when somebody looks.
  let explained: Snapshot.ClientReading["policies"] | undefined
  const read = Effect.sync((): Snapshot.ClientReading => {
    explained ??= explain(own, policies)
    const { balance, exhaustions, withdrawals } = budget.state(Deadline.nowUnsafe(clock))
    return {
      service,
      budget: { balance: Number.isFinite(balance) ? balance : "unlimited", withdrawals, exhaustions, shared },
      policies: explained
    }
  })
  yield* Scope.provide(introspection.value.register({ _tag: "Client", read }), scope.value)
})
