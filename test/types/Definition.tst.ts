/** What the descriptions of other generators become, in types. */
import { describe, expectTypeOf, it } from "vitest"
import type { Effect, Stream } from "effect"
import { type Client, type Handlers, type RpcError, Service } from "trunkline"
import {
  type EchoClient,
  type EchoDefinition,
  type generic,
  loaded,
  type Request,
  type Response
} from "../support/descriptions.ts"

type Failing = RpcError.RpcError

describe("a generic definition", () => {
  type Echo = Client.Client<typeof generic>

  it("has methods of their kinds", () => {
    expectTypeOf<ReturnType<Echo["echo"]>>().toEqualTypeOf<Effect.Effect<Response, Failing>>()
    expectTypeOf<ReturnType<Echo["expand"]>>().toEqualTypeOf<Stream.Stream<Response, Failing>>()
    const streaming = (echo: Echo, requests: Stream.Stream<Request>) => ({
      collect: echo.collect(requests),
      chat: echo.chat(requests)
    })
    expectTypeOf<ReturnType<typeof streaming>["collect"]>().toEqualTypeOf<Effect.Effect<Response, Failing>>()
    expectTypeOf<ReturnType<typeof streaming>["chat"]>().toEqualTypeOf<Stream.Stream<Response, Failing>>()
    expectTypeOf<Parameters<Echo["echo"]>[0]>().toEqualTypeOf<Request>()
  })

  it("has no method that the definition lacks", () => {
    // @ts-expect-error -- no such method
    expectTypeOf<Echo["shout"]>()
  })
})

describe("a definition of proto-loader", () => {
  type Echo = Client.Client<EchoDefinition>

  it("is callable: what is sent may leave out fields, what comes is whole", () => {
    expectTypeOf<Parameters<Echo["Echo"]>[0]>().toEqualTypeOf<Partial<Request>>()
    expectTypeOf<ReturnType<Echo["Echo"]>>().toEqualTypeOf<Effect.Effect<Response, Failing>>()
  })

  it("has only the methods it names", () => {
    expectTypeOf<keyof Echo>().toEqualTypeOf<"Echo" | "Expand" | "Collect" | "Chat" | "Lookup">()
  })

  it("has the kinds that are told", () => {
    const told = Service.withKinds(loaded, { Expand: "server_streaming", Chat: "bidi_streaming" })
    type Told = Client.Client<typeof told>
    expectTypeOf<ReturnType<Told["Expand"]>>().toEqualTypeOf<Stream.Stream<Response, Failing>>()
    const chat = (echo: Told, requests: Stream.Stream<Partial<Request>>) => echo.Chat(requests)
    expectTypeOf<ReturnType<typeof chat>>().toEqualTypeOf<Stream.Stream<Response, Failing>>()
    expectTypeOf<ReturnType<Told["Echo"]>>().toEqualTypeOf<Effect.Effect<Response, Failing>>()
    expectTypeOf<ReturnType<Handlers.Implementation<typeof told, never>["Expand"]>>().toExtend<
      Stream.Stream<Partial<Response>, unknown>
    >()
  })

  it("tells of no method that is not there", () => {
    // @ts-expect-error -- no such method
    Service.withKinds(loaded, { Shout: "unary" })
  })

  it("is found on a client class", () => {
    expectTypeOf<Client.Client<typeof EchoClient>>().toEqualTypeOf<Echo>()
  })
})
