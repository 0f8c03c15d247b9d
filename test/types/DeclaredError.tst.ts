/** What a method declares is what its handler may fail with, and what its caller may catch. */
import { Effect, Schema, Stream } from "effect"
import { type Client, DeclaredError, Handlers, type RpcError, Service } from "trunkline"
import { describe, expectTypeOf, it } from "vitest"
import { type EchoResponse, EchoService } from "../gen/echo_pb.ts"

type Failure = RpcError.RpcError

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { left: Schema.Int }) {}
class NotYours extends Schema.TaggedError<NotYours>("shop/NotYours")("NotYours", {}) {}
class Stray extends Schema.TaggedError<Stray>()("Stray", { why: Schema.String }) {}
class Untagged extends Schema.Error<Untagged>("Untagged")({}) {}

const errors = [OutOfStock, DeclaredError.withCode(NotYours, "PERMISSION_DENIED")] as const

const Shop = Service.make("demo.Shop", {
  plain: Service.unary(Schema.String, Schema.String),
  one: Service.unary(Schema.String, Schema.String, { errors: [OutOfStock] }),
  many: Service.serverStreaming(Schema.String, Schema.String, { errors }),
  collect: Service.clientStreaming(Schema.String, Schema.String, { errors, idempotency: "idempotent" }),
  chat: Service.bidiStreaming(Schema.String, Schema.String, { errors })
})
declare const shop: Client.Client<typeof Shop>
declare const mine: Stream.Stream<string, "mine">

const Echo = Service.withErrors(EchoService, { echo: errors, chat: [Stray] })
declare const echo: Client.Client<typeof Echo>

describe("a client's error channel", () => {
  it("has what the method declares, in every kind", () => {
    expectTypeOf(shop.plain("")).toEqualTypeOf<Effect.Effect<string, Failure>>()
    expectTypeOf(shop.one("")).toEqualTypeOf<Effect.Effect<string, Failure | OutOfStock>>()
    expectTypeOf(shop.many("")).toEqualTypeOf<Stream.Stream<string, Failure | OutOfStock | NotYours>>()
    expectTypeOf(shop.collect(mine)).toEqualTypeOf<Effect.Effect<string, Failure | OutOfStock | NotYours | "mine">>()
    expectTypeOf(shop.chat(mine)).toEqualTypeOf<Stream.Stream<string, Failure | OutOfStock | NotYours | "mine">>()
  })

  it("has it in `response` too, and in its parts", () => {
    expectTypeOf(Effect.flip(shop.one.response(""))).toExtend<Effect.Effect<Failure | OutOfStock, unknown>>()
    Effect.map(shop.many.response(""), ({ messages }) => {
      expectTypeOf(messages).toEqualTypeOf<Stream.Stream<string, Failure | OutOfStock | NotYours>>()
    })
    Effect.map(shop.chat.response(mine), ({ headers }) => {
      expectTypeOf(Effect.flip(headers)).toExtend<Effect.Effect<Failure | OutOfStock | NotYours | "mine", unknown>>()
    })
  })

  it("loses what is caught", () => {
    const caught = Effect.catchTag(shop.one(""), "OutOfStock", ({ left }) => Effect.succeed(left))
    expectTypeOf(caught).toEqualTypeOf<Effect.Effect<string | number, Failure>>()
    // @ts-expect-error -- the method does not declare it
    Effect.catchTag(shop.one(""), "NotYours", () => Effect.void)
  })

  it("still selects a code by its reason", () => {
    const caught = Effect.catchReason(shop.one(""), "RpcError", "NotFound", () => Effect.succeed(0))
    expectTypeOf(caught).toExtend<Effect.Effect<string | number, Failure | OutOfStock>>()
  })
})

describe("Service.withErrors", () => {
  it("adds errors to the methods it names and leaves the rest", () => {
    expectTypeOf(echo.echo({})).toEqualTypeOf<Effect.Effect<EchoResponse, Failure | OutOfStock | NotYours>>()
    expectTypeOf(echo.chat(Stream.empty)).toEqualTypeOf<Stream.Stream<EchoResponse, Failure | Stray>>()
    expectTypeOf(echo.lookup({})).toEqualTypeOf<Effect.Effect<EchoResponse, Failure>>()
  })

  it("adds to what is declared already", () => {
    const more = Service.withErrors(Shop, { one: [Stray] })
    expectTypeOf<Client.CallOf<typeof more.methods.one>>().toEqualTypeOf<
      Client.UnaryMethod<string, string, OutOfStock | Stray>
    >()
    expectTypeOf(more.methods.many).toEqualTypeOf<typeof Shop.methods.many>()
  })

  it("refuses a method that the service lacks, and what is no tagged error", () => {
    // @ts-expect-error -- no such method
    Service.withErrors(EchoService, { echo: [Stray], shout: [Stray] })
    // @ts-expect-error -- it has no tag
    Service.withErrors(EchoService, { echo: [Untagged] })
    // @ts-expect-error -- an instance, where a class is wanted
    Service.withErrors(EchoService, { echo: [new Stray({ why: "" })] })
    // @ts-expect-error -- not one of the sixteen codes
    DeclaredError.withCode(Stray, "OK")
  })
})

describe("a handler", () => {
  const served = {
    plain: (text: string) => Effect.succeed(text),
    one: () => Effect.fail(new OutOfStock({ left: 0 })),
    many: () => Stream.fail(new NotYours()),
    collect: () => Effect.fail(new NotYours()),
    chat: () => Stream.fail(new OutOfStock({ left: 0 }))
  }

  it("may fail with what its method declares", () => {
    expectTypeOf(Handlers.make(Shop, served)).toEqualTypeOf<Handlers.Handlers>()
  })

  it("may not fail with anything else", () => {
    // @ts-expect-error -- the method declares nothing
    Handlers.make(Shop, { ...served, plain: () => Effect.fail(new OutOfStock({ left: 0 })) })
    // @ts-expect-error -- the method declares another one
    Handlers.make(Shop, { ...served, one: () => Effect.fail(new Stray({ why: "" })) })
    // @ts-expect-error -- streams, too
    Handlers.make(Shop, { ...served, chat: () => Stream.fail(new Stray({ why: "" })) })
    // @ts-expect-error -- the service without its errors
    Handlers.partial(EchoService, { echo: () => Effect.fail(new OutOfStock({ left: 0 })) })
  })
})

describe("Handlers.partial", () => {
  it("takes some methods, with their messages", () => {
    const some = Handlers.partial(Shop, { one: (text) => Effect.succeed(text.trim()) })
    expectTypeOf(some).toEqualTypeOf<Handlers.Handlers>()
    expectTypeOf(Handlers.partial(Shop, {})).toEqualTypeOf<Handlers.Handlers>()
  })

  it("needs what its functions need", () => {
    interface Db {
      readonly _: unique symbol
    }
    const one = () => Effect.as(Effect.void as Effect.Effect<void, never, Db>, "")
    expectTypeOf(Handlers.partial(Shop, { one })).toEqualTypeOf<Handlers.Handlers<Db>>()
  })

  it("refuses what the service lacks, and wrong answers", () => {
    // @ts-expect-error -- no such method
    Handlers.partial(Shop, { one: (text) => Effect.succeed(text), oen: (text) => Effect.succeed(text) })
    // @ts-expect-error -- the answer is no number
    Handlers.partial(Shop, { one: () => Effect.succeed(1) })
  })
})
