import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Result, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, Handlers, Retry, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { Operation, Paging } from "trunkline/google"
import { TestNetwork } from "trunkline/testing"
import { Library, ListBooksRequestSchema } from "../gen/library_pb.ts"

/** A page of the server: its titles and the token of the next. */
interface Served {
  readonly titles: ReadonlyArray<string>
  readonly next: string
}

const unused = () => Effect.die("not called")

/** A library whose list is these pages by token, and what it was asked. */
const library = Effect.fnUntraced(function* (
  pages: Readonly<Record<string, Served | RpcError.RpcError>>,
  delayMillis = 0
) {
  const network = yield* TestNetwork.TestNetwork
  const asked: Array<string> = []
  const answer = ({ pageSize, pageToken, shelf }: Record<"shelf" | "pageToken", string> & { pageSize: number }) =>
    Effect.gen(function* () {
      asked.push(`${shelf}/${pageSize}/${pageToken}`)
      if (delayMillis > 0) yield* Effect.sleep(delayMillis)
      const page = pages[pageToken]
      if (page === undefined) return yield* RpcError.make("INVALID_ARGUMENT", "no such page")
      return RpcError.isRpcError(page) ? yield* Effect.fail(page) : page
    })
  const handlers = Handlers.make(Library, {
    listBooks: (request) =>
      Effect.map(answer(request), ({ next, titles }) => ({
        books: titles.map((title) => ({ title })),
        nextPageToken: next
      })),
    listTitles: (request) =>
      Effect.map(answer(request), ({ next, titles }) => ({ titles: [...titles], nextPageToken: next })),
    listShelves: unused,
    listAmbiguous: unused,
    listNumbered: unused,
    getBook: unused,
    digitize: unused
  })
  yield* network.serve("library:1", { handlers: [handlers] })
  const pool = Balancer.layer({ discovery: StaticDiscovery.make(["library:1"]), picker: RoundRobin.make() })
  const client = yield* Effect.provideContext(Client.make(Library), yield* Layer.build(Layer.orDie(pool)))
  return { client, asked }
})

const inMemory = Effect.provide(TestNetwork.layer)

const books = Paging.fieldsUnsafe(Library.method.listBooks)
const titles = Stream.map(({ title }: { readonly title: string }) => title)

const three: Readonly<Record<string, Served>> = {
  "": { titles: ["a", "b"], next: "p2" },
  p2: { titles: ["c", "d"], next: "p3" },
  p3: { titles: ["e"], next: "" }
}

describe("items", () => {
  it.effect("are those of every page, asked for with the same request and the next token", () =>
    Effect.gen(function* () {
      const { asked, client } = yield* library(three)
      const list = Paging.items(client.listBooks, books)
      const all = yield* Stream.runCollect(titles(list({ shelf: "s", pageSize: 2 })))
      assert.deepStrictEqual(all, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(asked, ["s/2/", "s/2/p2", "s/2/p3"])
    }).pipe(inMemory)
  )

  it.effect("start where the request's token says", () =>
    Effect.gen(function* () {
      const { asked, client } = yield* library(three)
      const list = Paging.items(client.listBooks, books)
      assert.deepStrictEqual(yield* Stream.runCollect(titles(list({ pageToken: "p2" }))), ["c", "d", "e"])
      assert.deepStrictEqual(asked, ["/0/p2", "/0/p3"])
    }).pipe(inMemory)
  )

  it.effect("end at an empty token and not at an empty page, were there a hundred of them", () =>
    Effect.gen(function* () {
      const pages: Record<string, Served> = { "": { titles: [], next: "1" } }
      for (let i = 1; i < 100; i++) pages[i] = { titles: i % 10 === 0 ? [`t${i}`] : [], next: String(i + 1) }
      pages[100] = { titles: [], next: "" }
      const { asked, client } = yield* library(pages)
      const list = Paging.items(client.listBooks, books)
      assert.strictEqual((yield* Stream.runCollect(list({}))).length, 9)
      assert.strictEqual(asked.length, 101)
    }).pipe(inMemory)
  )

  it.effect.each([
    [0, 0],
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [9, 3]
  ] as const)("a reader of %i asks for %i pages", ([count, pages]) =>
    Effect.gen(function* () {
      const { asked, client } = yield* library(three)
      const list = Paging.items(client.listBooks, books)
      yield* Stream.runDrain(Stream.take(list({}), count))
      assert.strictEqual(asked.length, pages)
    }).pipe(inMemory)
  )

  it.effect("a slow reader is not read ahead of", () =>
    Effect.gen(function* () {
      const { asked, client } = yield* library(three)
      const list = Paging.items(client.listBooks, books)
      const reader = yield* Effect.forkChild(Stream.runForEach(list({}), () => Effect.sleep("1 second")))
      const counts: Array<number> = []
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("500 millis")
        counts.push(asked.length)
        yield* TestClock.adjust("500 millis")
      }
      assert.deepStrictEqual(counts, [1, 1, 2, 2, 3])
      yield* Fiber.join(reader)
    }).pipe(inMemory)
  )

  it.effect("can be listed again, from the start", () =>
    Effect.gen(function* () {
      const { asked, client } = yield* library(three)
      const list = Paging.items(client.listBooks, books)({})
      assert.deepStrictEqual(yield* Stream.runCollect(list), yield* Stream.runCollect(list))
      assert.strictEqual(asked.length, 6)
    }).pipe(inMemory)
  )

  it.effect("a page that fails ends the stream with its error, after the pages before it", () =>
    Effect.gen(function* () {
      const { client } = yield* library({ ...three, p3: RpcError.make("PERMISSION_DENIED", "not that one") })
      const seen = yield* Ref.make<ReadonlyArray<string>>([])
      const list = Paging.items(client.listBooks, books)
      const error = yield* titles(list({})).pipe(
        Stream.runForEach((title) => Ref.update(seen, (all) => [...all, title])),
        Effect.flip
      )
      assert.strictEqual(error.message, "[PERMISSION_DENIED] not that one")
      assert.deepStrictEqual(yield* Ref.get(seen), ["a", "b", "c", "d"])
    }).pipe(inMemory)
  )
})

describe("a page is a call", () => {
  it.effect("with the whole deadline for itself", () =>
    Effect.gen(function* () {
      const { client } = yield* library(three, 800)
      const list = Paging.items(client.listBooks, books)
      const reader = yield* Effect.forkChild(Stream.runCollect(list({}).pipe(CallOptions.withDeadline("1 second"))))
      yield* TestClock.adjust(2399)
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(reader)).length, 5)
    }).pipe(inMemory)
  )

  it.effect("which ends by it", () =>
    Effect.gen(function* () {
      const { client } = yield* library(three, 800)
      const list = Paging.items(client.listBooks, books)
      const reader = yield* Effect.forkChild(
        Effect.flip(Stream.runCollect(list({}).pipe(CallOptions.withDeadline(700))))
      )
      yield* TestClock.adjust(700)
      assert.strictEqual((yield* Fiber.join(reader)).code, "DEADLINE_EXCEEDED")
    }).pipe(inMemory)
  )

  it.effect("that is tried again by itself, without the pages before it", () =>
    Effect.gen(function* () {
      const flaky: Record<string, Served | RpcError.RpcError> = {
        ...three,
        p2: RpcError.make("UNAVAILABLE", "back soon")
      }
      const { asked, client } = yield* library(flaky)
      const list = Paging.items(
        (request: Parameters<typeof client.listBooks>[0]) =>
          Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second")))(client.listBooks(request)),
        books
      )
      const reader = yield* Effect.forkChild(Stream.runCollect(titles(list({}))))
      yield* TestClock.adjust(1500)
      flaky["p2"] = three["p2"]!
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(asked, ["/0/", "/0/p2", "/0/p2", "/0/p2", "/0/p3"])
    }).pipe(inMemory)
  )
})

describe("pages", () => {
  it.effect("say their token and the next, and what else came", () =>
    Effect.gen(function* () {
      const { client } = yield* library({ ...three, p2: { titles: [], next: "p3" } })
      const pages = yield* Stream.runCollect(Paging.pages(client.listBooks, books)({}))
      assert.deepStrictEqual(
        pages.map(({ items, nextToken, token }) => [items.map(({ title }) => title), token, nextToken]),
        [
          [["a", "b"], "", "p2"],
          [[], "p2", "p3"],
          [["e"], "p3", ""]
        ]
      )
      assert.strictEqual(pages[0]!.response.$typeName, "trunkline.library.ListBooksResponse")
    }).pipe(inMemory)
  )

  it.effect("a token of yesterday goes on from there", () =>
    Effect.gen(function* () {
      const { client } = yield* library(three)
      const list = Paging.pages(client.listBooks, books)
      const [first] = yield* Stream.runCollect(Stream.take(list({ shelf: "s" }), 1))
      const rest = yield* Stream.runCollect(list({ shelf: "s", pageToken: first!.nextToken }))
      assert.deepStrictEqual(
        rest.map(({ token }) => token),
        ["p2", "p3"]
      )
    }).pipe(inMemory)
  )
})

describe("a server that repeats its token", () => {
  for (const [name, pages, request, given, asked] of [
    ["from the second page on", { "": { titles: ["a"], next: "p" }, p: { titles: ["b"], next: "p" } }, {}, 2, 2],
    ["from where it was resumed", { p: { titles: ["b"], next: "p" } }, { pageToken: "p" }, 1, 1],
    ["with empty pages", { "": { titles: [], next: "p" }, p: { titles: [], next: "p" } }, {}, 0, 2]
  ] as const) {
    it.effect(`${name} is found out after the page that did it`, () =>
      Effect.gen(function* () {
        const served = yield* library(pages)
        const seen = yield* Ref.make(0)
        const list = Paging.items(served.client.listBooks, books)
        const error = yield* Effect.flip(Stream.runForEach(list(request), () => Ref.update(seen, (n) => n + 1)))
        assert.strictEqual(error.code, "INTERNAL")
        assert.instanceOf(error.cause, Paging.TokenRepeated)
        assert.strictEqual((error.cause as Paging.TokenRepeated).token, "p")
        assert.notInclude(error.message, '"p"')
        assert.strictEqual(yield* Ref.get(seen), given)
        assert.strictEqual(served.asked.length, asked)
      }).pipe(inMemory)
    )
  }
})

describe("conventional fields", () => {
  it.effect("of plain values, if there are no messages", () =>
    Effect.gen(function* () {
      const { client } = yield* library(three)
      const list = Paging.items(client.listTitles, Paging.fieldsUnsafe(Library.method.listTitles))
      assert.deepStrictEqual(yield* Stream.runCollect(list({})), ["a", "b", "c", "d", "e"])
    }).pipe(inMemory)
  )

  it("the first of several with messages, and strings beside them do not count", () => {
    const shelves = Paging.fieldsUnsafe(Library.method.listShelves)
    const response = {
      $typeName: "trunkline.library.ListShelvesResponse",
      shelves: [{ $typeName: "trunkline.library.Shelf", name: "s" }],
      featured: [{ $typeName: "trunkline.library.Book", title: "b" }],
      unreachable: ["moon"],
      nextPageToken: ""
    } as const
    assert.deepStrictEqual(shelves.items(response as never) as unknown, response.shelves)
    const featured = Paging.fieldsUnsafe(Library.method.listShelves, "featured")
    assert.deepStrictEqual(featured.items(response as never) as unknown, response.featured)
    const operations = Paging.fieldsUnsafe(Operation.OperationsService.method.listOperations)
    assert.deepStrictEqual(operations.items({ operations: [], unreachable: ["moon"] } as never), [])
  })

  it("a named one where none is the first", () => {
    assert.isTrue(Result.isSuccess(Paging.fields(Library.method.listAmbiguous, "shelves")))
  })

  it("leave the caller's request as it was", () => {
    const message = create(ListBooksRequestSchema, { shelf: "s", pageSize: 3 })
    const init = { shelf: "s", pageSize: 3 }
    for (const request of [message, init]) {
      const next = books.withToken(request, "p2")
      assert.deepInclude(next, { shelf: "s", pageSize: 3, pageToken: "p2" })
      assert.strictEqual(books.token(request), "")
    }
    assert.deepStrictEqual(init, { shelf: "s", pageSize: 3 })
  })

  it.each([
    [
      "getBook",
      () => Paging.fields(Library.method.getBook),
      "trunkline.library.Library.GetBook is not paged: trunkline.library.GetBookRequest.page_token does not exist"
    ],
    [
      "listNumbered",
      () => Paging.fields(Library.method.listNumbered),
      "trunkline.library.Library.ListNumbered is not paged: trunkline.library.ListNumberedRequest.page_token must be a string"
    ],
    [
      "listAmbiguous",
      () => Paging.fields(Library.method.listAmbiguous),
      "trunkline.library.Library.ListAmbiguous is not paged: trunkline.library.ListAmbiguousResponse has several repeated fields and none is the first: one must be named"
    ],
    [
      "a name that is none",
      () => Paging.fields(Library.method.listBooks, "nextPageToken" as never),
      "trunkline.library.Library.ListBooks is not paged: trunkline.library.ListBooksResponse.nextPageToken must be a repeated field"
    ]
  ] as const)("%s is refused by name", (_name, fields, message) => {
    const result: Result.Result<unknown, Paging.PagingError> = fields()
    assert.strictEqual(Result.isFailure(result) ? result.failure.message : "paged", message)
  })

  it("the unsafe twin throws the same", () => {
    assert.throws(() => Paging.fieldsUnsafe(Library.method.getBook), "page_token does not exist")
  })
})
