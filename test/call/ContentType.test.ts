import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Service } from "trunkline"
import * as ContentType from "../../src/call/ContentType.ts"
import { EchoService } from "../gen/echo_pb.ts"

const Json = Service.make("demo.Json", { say: Service.unary(Schema.String, Schema.String) }).methods.say
const Proto = Service.from(EchoService).methods.echo

describe("subtypeOf", () => {
  it.each([
    ["application/grpc", ""],
    ["application/grpc+proto", "proto"],
    ["application/grpc+json", "json"],
    ["application/grpc+vnd.acme_2", "vnd.acme_2"],
    ["Application/GRPC+JSON", "json"],
    ["application/grpc;charset=utf-8", ""],
    ["application/grpc+json ; charset=utf-8", "json"],
    ["application/grpcxyz", undefined],
    ["application/grpc-web", undefined],
    ["application/grpc-web+proto", undefined],
    ["application/grpc+", undefined],
    ["application/grpc+a b", undefined],
    ["application/grpc/json", undefined],
    [" application/grpc", undefined],
    ["application/json", undefined],
    ["", undefined],
    [undefined, undefined]
  ])("%j is %j", (field, expected) => {
    assert.strictEqual(ContentType.subtypeOf(field), expected)
  })

  it("reads back what make writes", () => {
    for (const subtype of ["", "proto", "json", "x-own"]) {
      assert.strictEqual(ContentType.subtypeOf(ContentType.make(subtype)), subtype)
    }
  })
})

describe("refusal", () => {
  it.each([
    [Proto, "", true],
    [Proto, "proto", true],
    [Proto, "json", false],
    [Proto, "thrift", false],
    [Json, "", true],
    [Json, "json", true],
    // What libraries say that do not know what a message is.
    [Json, "proto", true],
    [Json, "thrift", false]
  ] as const)("of %o asked in %j", (method, asked, isRead) => {
    assert.strictEqual(ContentType.refusal(method, asked)?.code, isRead ? undefined : "UNIMPLEMENTED")
  })

  it("says what is read and what was asked", () => {
    assert.strictEqual(
      ContentType.refusal(Proto, "json")?.message,
      "[UNIMPLEMENTED] /trunkline.test.EchoService/Echo reads application/grpc+proto and not application/grpc+json"
    )
  })
})
