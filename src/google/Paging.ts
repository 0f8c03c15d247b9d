/**
 * Lists that come in pages, as Streams.
 *
 * A paged method answers with some of the items and a token; the same request with that token asks for the next of them.
 * Here such a method becomes a function from a request to a Stream of its items, or of its pages, so that a long list reads
 * like a server stream. Only an empty token ends it: a page may be empty and have pages after it. A page is asked for when
 * somebody pulls for it and not before; `Stream.buffer` asks ahead.
 *
 * The request is the caller's throughout. Its page size is kept, its token is where the stream starts, and each page says
 * its own token and the next, to start there another day. Every page is a call of its own: deadlines, retries and metadata
 * apply to each as to any call.
 *
 * A server that answers a token with the same token would be asked for ever. The stream gives that page and then fails
 * with `INTERNAL`, whose cause is `TokenRepeated`. Longer circles are not looked for, since that would mean to keep every
 * token; `Stream.take` bounds those.
 *
 * @see https://google.aip.dev/158
 * @see https://google.aip.dev/client-libraries/4233
 */
import {
  clone,
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  isMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
  ScalarType
} from "@bufbuild/protobuf"
import { Data, Effect, Function, Option, Result, Stream } from "effect"
import * as RpcError from "../status/RpcError.ts"

/**
 * Where the parts of a page are in the messages of a method. Tokens are empty where there is none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fields<in out I, in O, out A> {
  /** The token of the page that a request asks for. */
  readonly token: (request: I) => string
  /** The same request for another page. */
  readonly withToken: (request: I, token: string) => I
  /** The token of the page after a response. */
  readonly nextToken: (response: O) => string
  readonly items: (response: O) => ReadonlyArray<A>
}

/**
 * A page. A request with its `nextToken` goes on after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page<out O, out A> {
  readonly items: ReadonlyArray<A>
  /** What this page was asked for with; empty for the first page. */
  readonly token: string
  /** What to ask for the next page with; empty for the last page. */
  readonly nextToken: string
  /** The response as it came, with whatever else it says. */
  readonly response: O
}

/**
 * A method is not paged, or not in the way that can be told from its messages.
 *
 * @category errors
 * @since 0.1.0
 */
export class PagingError extends Data.TaggedError("PagingError")<{
  /** `package.Service.Method` */
  readonly method: string
  readonly field: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.method} is not paged: ${this.field} ${this.problem}`
  }
}

/**
 * The cause of the `INTERNAL` error of a list whose server answered a token with the same token.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenRepeated extends Data.TaggedError("TokenRepeated")<{ readonly token: string }> {}

// ---------------------------------------------------------------------------------------------------------------------
// The conventional fields
// ---------------------------------------------------------------------------------------------------------------------

/** A unary method as protoc-gen-es describes it. */
type UnaryMethod<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly methodKind: "unary"
  readonly input: I
  readonly output: O
}

/** The repeated fields of a message by their names, and the type of their elements. */
type Lists<M> = {
  readonly [
    K in keyof M as K extends `$${string}` ? never : M[K] extends ReadonlyArray<unknown> ? K : never
  ]: M[K] extends ReadonlyArray<infer A> ? A : never
}

type ListName<O extends DescMessage> = keyof Lists<MessageShape<O>> & string

type MessageListName<O extends DescMessage> = {
  [K in ListName<O>]: Lists<MessageShape<O>>[K] extends Message ? K : never
}[ListName<O>]

/** The repeated fields that the page may be: those of messages, or else those of plain values. */
type PageName<O extends DescMessage> = [MessageListName<O>] extends [never] ? ListName<O> : MessageListName<O>

/** Finds the fields of one method, and says which is missing. */
const finder = (method: DescMethod) => {
  const fail = (field: string, problem: string) =>
    Result.fail(new PagingError({ method: `${method.parent.typeName}.${method.name}`, field, problem }))

  const token = (message: DescMessage, name: string): Result.Result<DescField, PagingError> => {
    const path = `${message.typeName}.${name}`
    const field = message.fields.find((field) => field.name === name)
    if (field === undefined) return fail(path, "does not exist")
    return field.fieldKind === "scalar" && field.scalar === ScalarType.STRING && field.oneof === undefined
      ? Result.succeed(field)
      : fail(path, "must be a string")
  }

  /** First in the file must be first by number, or the choice would depend on who reads the file. */
  const list = ({ fields, typeName }: DescMessage, name: string | undefined): Result.Result<DescField, PagingError> => {
    const lists = fields.filter(({ fieldKind }) => fieldKind === "list")
    if (name !== undefined) {
      const field = lists.find(({ localName }) => localName === name)
      return field === undefined ? fail(`${typeName}.${name}`, "must be a repeated field") : Result.succeed(field)
    }
    const messages = lists.filter(({ message }) => message !== undefined)
    const [first, ...others] = messages.length > 0 ? messages : lists
    if (first === undefined) return fail(typeName, "has no repeated field")
    return others.some(({ number }) => number < first.number)
      ? fail(typeName, "has several repeated fields and none is the first: one must be named")
      : Result.succeed(first)
  }
  return { list, token }
}

/**
 * The conventional fields of a protoc-gen-es method: `page_token`, `next_page_token`, and the repeated field. Of several
 * repeated fields the first that has messages is the page, unless one is named.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fields = <I extends DescMessage, O extends DescMessage, K extends ListName<O> = PageName<O>>(
  method: UnaryMethod<I, O>,
  items?: K
): Result.Result<Fields<MessageInitShape<I>, MessageShape<O>, Lists<MessageShape<O>>[K]>, PagingError> => {
  const { input, output } = method
  const find = finder(method)
  return Result.map(
    Result.all([find.token(input, "page_token"), find.token(output, "next_page_token"), find.list(output, items)]),
    ([token, nextToken, list]) => {
      const read = (message: object, field: DescField): unknown => message[field.localName as never]
      return {
        token: (request) => (read(request as object, token) as string | undefined) ?? "",
        withToken: (request, value) =>
          Object.assign(isMessage(request, input) ? clone(input, request) : create(input, request), {
            [token.localName]: value
          }) as MessageInitShape<I>,
        nextToken: (response) => read(response, nextToken) as string,
        items: (response) => read(response, list) as never
      }
    }
  )
}

/**
 * The conventional fields of a method. A method that is not paged throws `PagingError` where the program is written.
 *
 * @example
 * import { Operation, Paging } from "trunkline/google"
 *
 * const paged = Paging.fieldsUnsafe(Operation.OperationsService.method.listOperations)
 * paged.token({ name: "operations", pageToken: "p2" }) // => "p2"
 *
 * @category constructors
 * @since 0.1.0
 */
export const fieldsUnsafe = <I extends DescMessage, O extends DescMessage, K extends ListName<O> = PageName<O>>(
  method: UnaryMethod<I, O>,
  items?: K
): Fields<MessageInitShape<I>, MessageShape<O>, Lists<MessageShape<O>>[K]> => Result.getOrThrow(fields(method, items))

// ---------------------------------------------------------------------------------------------------------------------
// The streams
// ---------------------------------------------------------------------------------------------------------------------

/** What to ask for, and the token that was asked for before it. */
interface Turn<I> {
  readonly request: I
  readonly before: string | undefined
}

/** A stream of what is taken from each page. */
const paginate =
  <I, O, A, E, R, B>(
    call: (request: I) => Effect.Effect<O, E, R>,
    fields: Fields<I, O, A>,
    select: (page: Page<O, A>) => ReadonlyArray<B>
  ) =>
  (request: I): Stream.Stream<B, E | RpcError.RpcError, R> =>
    Stream.paginate<Turn<I>, B, E | RpcError.RpcError, R>({ request, before: undefined }, ({ before, request }) => {
      const token = fields.token(request)
      if (token === before) {
        const cause = new TokenRepeated({ token })
        return Effect.fail(RpcError.make("INTERNAL", "the server answered a page token with the same token", { cause }))
      }
      return Effect.map(call(request), (response) => {
        const nextToken = fields.nextToken(response)
        const next =
          nextToken === ""
            ? Option.none()
            : Option.some({ request: fields.withToken(request, nextToken), before: token })
        return [select({ items: fields.items(response), token, nextToken, response }), next]
      })
    })

/**
 * The pages of a paged method, empty ones included.
 *
 * @category streams
 * @since 0.1.0
 */
export const pages: {
  <I, O, A>(
    fields: Fields<I, O, A>
  ): <E, R>(
    call: (request: I) => Effect.Effect<O, E, R>
  ) => (request: I) => Stream.Stream<Page<O, A>, E | RpcError.RpcError, R>
  <I, O, A, E, R>(
    call: (request: I) => Effect.Effect<O, E, R>,
    fields: Fields<I, O, A>
  ): (request: I) => Stream.Stream<Page<O, A>, E | RpcError.RpcError, R>
} = Function.dual(2, <I, O, A, E, R>(call: (request: I) => Effect.Effect<O, E, R>, fields: Fields<I, O, A>) =>
  paginate(call, fields, (page) => [page])
)

/**
 * The items of a paged method, whatever the pages they came in.
 *
 * @example
 * import { Effect, Stream } from "effect"
 * import { Paging } from "trunkline/google"
 *
 * const fields: Paging.Fields<{ readonly token: string }, { readonly words: string; readonly next: string }, string> = {
 *   token: (request) => request.token,
 *   withToken: (request, token) => ({ ...request, token }),
 *   nextToken: (response) => response.next,
 *   items: (response) => response.words.split(" ")
 * }
 * const listWords = Paging.items(
 *   ({ token }) => Effect.succeed(token === "" ? { words: "to be", next: "p2" } : { words: "or not", next: "" }),
 *   fields
 * )
 * Effect.runSync(Stream.runCollect(listWords({ token: "" }))) // => ["to", "be", "or", "not"]
 *
 * @category streams
 * @since 0.1.0
 */
export const items: {
  <I, O, A>(
    fields: Fields<I, O, A>
  ): <E, R>(call: (request: I) => Effect.Effect<O, E, R>) => (request: I) => Stream.Stream<A, E | RpcError.RpcError, R>
  <I, O, A, E, R>(
    call: (request: I) => Effect.Effect<O, E, R>,
    fields: Fields<I, O, A>
  ): (request: I) => Stream.Stream<A, E | RpcError.RpcError, R>
} = Function.dual(2, <I, O, A, E, R>(call: (request: I) => Effect.Effect<O, E, R>, fields: Fields<I, O, A>) =>
  paginate(call, fields, (page) => page.items)
)
