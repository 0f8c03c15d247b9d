/** What a page has in it is known from the method's messages. */
import type { Effect, Stream } from "effect"
import type { Client, RpcError } from "trunkline"
import { Operation, Paging } from "trunkline/google"
import { describe, expectTypeOf, it } from "vitest"
import { type Book, type Digitizing, BookSchema, DigitizingSchema, Library, type Shelf } from "../gen/library_pb.ts"

declare const client: Client.Client<typeof Library>

describe("Paging", () => {
  it("knows the items", () => {
    const books = Paging.items(client.listBooks, Paging.fieldsUnsafe(Library.method.listBooks))
    expectTypeOf(books({ shelf: "s" })).toEqualTypeOf<Stream.Stream<Book, RpcError.RpcError>>()
    const titles = Paging.items(client.listTitles, Paging.fieldsUnsafe(Library.method.listTitles))
    expectTypeOf(titles({})).toEqualTypeOf<Stream.Stream<string, RpcError.RpcError>>()
    const shelves = Paging.items(client.listShelves, Paging.fieldsUnsafe(Library.method.listShelves, "shelves"))
    expectTypeOf(shelves({})).toEqualTypeOf<Stream.Stream<Shelf, RpcError.RpcError>>()
  })

  it("refuses a request that is not the method's, and a field that is not repeated", () => {
    const books = Paging.items(client.listBooks, Paging.fieldsUnsafe(Library.method.listBooks))
    // @ts-expect-error -- there is no such field
    books({ shlef: "s" })
    // @ts-expect-error -- the token is no list
    Paging.fields(Library.method.listBooks, "nextPageToken")
  })

  it("keeps the errors and requirements of the call", () => {
    interface Db {
      readonly _: unique symbol
    }
    const list = Paging.pages(
      {} as (request: number) => Effect.Effect<string, "mine", Db>,
      {} as Paging.Fields<number, string, boolean>
    )
    expectTypeOf(list(1)).toEqualTypeOf<Stream.Stream<Paging.Page<string, boolean>, "mine" | RpcError.RpcError, Db>>()
  })
})

describe("Operation", () => {
  it("is of the messages it was started with", () => {
    const operation = client.digitize({}).pipe(Operation.start({ response: BookSchema, metadata: DigitizingSchema }))
    expectTypeOf(operation).toEqualTypeOf<
      Effect.Effect<Operation.Operation<Book, Digitizing>, RpcError.RpcError, Operation.Operations>
    >()
  })

  it("gives its result and its progress", () => {
    const operation = {} as Operation.Operation<Book, Digitizing>
    expectTypeOf(Operation.result(operation)).toEqualTypeOf<Effect.Effect<Book, RpcError.RpcError>>()
    expectTypeOf(Operation.progress(operation)).toEqualTypeOf<Stream.Stream<Digitizing, RpcError.RpcError>>()
  })

  it("is not started by a call that answers something else", () => {
    // @ts-expect-error -- a book is no operation
    Operation.start(client.getBook({}), { response: BookSchema, metadata: DigitizingSchema })
  })
})
