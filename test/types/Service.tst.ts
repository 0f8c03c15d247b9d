/**
 * What a service description becomes. `describe` and `it` give failures a name; nothing here is run. A line that must
 * not compile says so with `@ts-expect-error`, and fails when it does compile.
 */
import { describe, expectTypeOf, it } from "vitest"
import type * as Method from "../../src/call/Method.ts"
import type * as Service from "../../src/call/Service.ts"
import type { EchoResponse, EchoService } from "../gen/echo_pb.ts"

type Echo = Service.From<typeof EchoService>["methods"]

describe("Service.From a protoc-gen-es service", () => {
  it("keeps the kind of each method", () => {
    expectTypeOf<Echo["echo"]["kind"]>().toEqualTypeOf<"unary">()
    expectTypeOf<Echo["expand"]["kind"]>().toEqualTypeOf<"server_streaming">()
    expectTypeOf<Echo["collect"]["kind"]>().toEqualTypeOf<"client_streaming">()
    expectTypeOf<Echo["chat"]["kind"]>().toEqualTypeOf<"bidi_streaming">()
  })

  it("takes partial messages and returns whole ones", () => {
    expectTypeOf<Echo["echo"]>().toExtend<Method.Method<{ readonly text: string }, EchoResponse>>()
    // @ts-expect-error -- text is a string
    expectTypeOf<Echo["echo"]>().toExtend<Method.Method<{ readonly text: number }, EchoResponse>>()
  })

  it("has no method that the service lacks", () => {
    // @ts-expect-error -- no such method
    expectTypeOf<Echo["shout"]>()
  })
})
