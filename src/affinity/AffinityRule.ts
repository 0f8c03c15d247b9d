/**
 * The message field that holds the affinity key of a method.
 *
 * One method creates a session, others use it, and another ends it; the messages of all of them hold its name. A rule gives
 * the command of a method and the path of the field. A wrong path would silently bind nothing, so paths are resolved against
 * the message's descriptor when the rule is made.
 */
import { Data, Result } from "effect"

/**
 * What a method does to its key. `BIND` binds the keys of its response to the target of the call, `BOUND` goes to the target
 * of the key of its request, and `UNBIND` also unbinds that key after a success.
 *
 * @category models
 * @since 0.1.0
 */
export type Command = "BIND" | "BOUND" | "UNBIND"

/**
 * The rule of a method.
 *
 * @category models
 * @since 0.1.0
 */
export interface MethodAffinity {
  /** `package.Service/Method`, with or without a slash in front. */
  readonly method: string
  readonly command: Command
  /** The field, by its names in the proto file: `session.name`, through messages and repeated fields. */
  readonly key: string
}

/**
 * The part of a message's descriptor that rules need; those of protoc-gen-es have it.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageDescriptor {
  readonly typeName: string
  readonly fields: ReadonlyArray<FieldDescriptor>
}

/**
 * The part of a field's descriptor that rules need.
 *
 * @category models
 * @since 0.1.0
 */
export interface FieldDescriptor {
  readonly name: string
  readonly localName: string
  readonly fieldKind: string
  readonly listKind?: string | undefined
  /** A number of protobuf's `FieldDescriptorProto.Type`; 9 is a string. */
  readonly scalar?: number | undefined
  readonly message?: MessageDescriptor | undefined
  readonly oneof?: { readonly localName: string } | undefined
}

/**
 * The part of a service's descriptor that rules need.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceDescriptor {
  readonly typeName: string
  readonly methods: ReadonlyArray<{
    readonly name: string
    readonly input: MessageDescriptor
    readonly output: MessageDescriptor
  }>
}

/**
 * A rule that names no method, or no string field.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidAffinity extends Data.TaggedError("InvalidAffinity")<{
  readonly method: string
  readonly key: string
  readonly problem: string
}> {
  override get message(): string {
    return `affinity of ${this.method} by ${JSON.stringify(this.key)}: ${this.problem}`
  }
}

/**
 * A rule with its path resolved.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rule {
  /** The path of the method, `/package.Service/Method`. */
  readonly method: string
  readonly command: Command
  readonly keys: (message: unknown) => ReadonlyArray<string>
}

type Read = (message: unknown) => unknown

const reader = ({ localName, oneof }: FieldDescriptor): Read => {
  if (oneof === undefined) return (message) => (message as Record<string, unknown>)[localName]
  return (message) => {
    const chosen = (message as Record<string, { readonly case?: unknown; readonly value?: unknown } | undefined>)[
      oneof.localName
    ]
    return chosen?.case === localName ? chosen.value : undefined
  }
}

/** An empty string is a field that is not set. */
const isKey = (value: unknown): value is string => typeof value === "string" && value !== ""

const string = 9

const kindOf = ({ fieldKind, listKind }: FieldDescriptor): string =>
  fieldKind === "list" ? (listKind ?? "scalar") : fieldKind

const follow = (
  rule: MethodAffinity,
  message: MessageDescriptor
): Result.Result<ReadonlyArray<Read>, InvalidAffinity> => {
  const fail = (problem: string) => Result.fail(new InvalidAffinity({ method: rule.method, key: rule.key, problem }))
  const reads: Array<Read> = []
  let at = message
  const names = rule.key.split(".")
  for (const [i, name] of names.entries()) {
    const field: FieldDescriptor | undefined = at.fields.find((field) => field.name === name)
    if (field === undefined) return fail(`${at.typeName} has no field ${JSON.stringify(name)}`)
    reads.push(reader(field))
    if (i === names.length - 1) {
      return kindOf(field) === "scalar" && field.scalar === string
        ? Result.succeed(reads)
        : fail(`${JSON.stringify(name)} of ${at.typeName} is not a string`)
    }
    if (kindOf(field) !== "message" || field.message === undefined) {
      return fail(`${JSON.stringify(name)} of ${at.typeName} is not a message`)
    }
    at = field.message
  }
  return fail("it is empty")
}

/** The path of a method on the wire. */
const pathOf = (method: string): string => (method.startsWith("/") ? method : `/${method}`)

/**
 * Rules by the path of their method. The last of several rules for a method applies.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  rules: ReadonlyArray<MethodAffinity>,
  services: ReadonlyArray<ServiceDescriptor>
): Result.Result<ReadonlyMap<string, Rule>, InvalidAffinity> =>
  Result.gen(function* () {
    const byPath = new Map<string, Rule>()
    for (const rule of rules) {
      const path = pathOf(rule.method)
      const [, service, name] = path.split("/")
      const method = services
        .find(({ typeName }) => typeName === service)
        ?.methods.find((method) => method.name === name)
      if (method === undefined) {
        const problem = "no service that was given has such a method"
        return yield* Result.fail(new InvalidAffinity({ method: rule.method, key: rule.key, problem }))
      }
      const reads = yield* follow(rule, rule.command === "BIND" ? method.output : method.input)
      byPath.set(path, {
        method: path,
        command: rule.command,
        keys: (message) =>
          reads
            .reduce<ReadonlyArray<unknown>>((values, read) => values.flatMap((value) => read(value) ?? []), [message])
            .filter(isKey)
      })
    }
    return byPath
  })
