/** A method becomes the function its kind says, with the caller's own error and requirement types kept. */
import { type Context, Effect, type Layer, Schema, type Stream } from "effect"
import { Client, Handlers, type RpcError, Service, type Transport } from "trunkline"
import { describe, expectTypeOf, it } from "vitest"
import { type EchoResponse, EchoService } from "../gen/echo_pb.ts"

type Echo = Client.Client<typeof EchoService>
type Failure = RpcError.RpcError

declare const echo: Echo
interface Db {
  readonly _: unique symbol
}
declare const mine: Stream.Stream<{ readonly text: string }, "mine", Db>

describe("Client", () => {
  it("returns an Effect where one message comes back and a Stream where many do", () => {
    expectTypeOf(echo.echo({ text: "a" })).toEqualTypeOf<Effect.Effect<EchoResponse, Failure>>()
    expectTypeOf(echo.expand({})).toEqualTypeOf<Stream.Stream<EchoResponse, Failure>>()
  })

  it("keeps the errors and requirements of the request stream", () => {
    expectTypeOf(echo.collect(mine)).toEqualTypeOf<Effect.Effect<EchoResponse, Failure | "mine", Db>>()
    expectTypeOf(echo.chat(mine)).toEqualTypeOf<Stream.Stream<EchoResponse, Failure | "mine", Db>>()
  })

  it("refuses what is not a request of the method", () => {
    // @ts-expect-error -- a number is no text
    echo.echo({ text: 1 })
    // @ts-expect-error -- there is no such field
    echo.echo({ txet: "a" })
    // @ts-expect-error -- a stream where one message is wanted
    echo.echo(mine)
    // @ts-expect-error -- there is no such method
    void echo.shout
  })

  it("a service class provides itself and needs a transport", () => {
    class Greeter extends Client.Service<Greeter>()("test/Greeter", EchoService) {}
    expectTypeOf(Greeter.layer).toEqualTypeOf<Layer.Layer<Greeter, never, Transport.Transport>>()
    expectTypeOf<Context.Service.Shape<typeof Greeter>>().toEqualTypeOf<Echo>()
  })

  it("a borrowed client has nothing to close", () => {
    expectTypeOf<"close" extends keyof Echo ? true : false>().toEqualTypeOf<false>()
  })
})

describe("a code is selected by its reason", () => {
  it("the handler gets the reason, and a misspelt one does not compile", () => {
    Effect.catchReason(echo.echo({}), "RpcError", "NotFound", (reason) => {
      expectTypeOf(reason).toEqualTypeOf<RpcError.NotFound>()
      return Effect.void
    })
    // @ts-expect-error -- no status is called so
    Effect.catchReason(echo.echo({}), "RpcError", "NotFond", () => Effect.void)
  })
})

describe("Handlers", () => {
  const Shout = Service.make("demo.Shout", {
    one: Service.unary(Schema.String, Schema.String),
    many: Service.serverStreaming(Schema.String, Schema.String)
  })
  interface Clock {
    readonly _: unique symbol
  }
  const usesBoth = Handlers.make(Shout, {
    one: (text) => Effect.as(Effect.void as Effect.Effect<void, never, Db>, text),
    many: () => null! as Stream.Stream<string, never, Clock>
  })

  it("need what their functions need", () => {
    expectTypeOf(usesBoth).toEqualTypeOf<Handlers.Handlers<Db | Clock>>()
  })

  it("serve every method, with its messages, failing with an RpcError only", () => {
    // @ts-expect-error -- a method is missing
    Handlers.make(Shout, { one: (text) => Effect.succeed(text) })
    // @ts-expect-error -- the answer is no number
    Handlers.make(Shout, { one: () => Effect.succeed(1), many: () => null! as Stream.Stream<string> })
    // @ts-expect-error -- a plain string is no RpcError
    Handlers.make(Shout, { one: () => Effect.fail("no"), many: () => null! as Stream.Stream<string> })
  })
})
