import { assert, describe, it } from "@effect/vitest"
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { type Method, Service } from "trunkline"
import { EchoRequestSchema, EchoResponseSchema, EchoService } from "../gen/echo_pb.ts"

/** The same service as grpc-tools or ts-proto would describe it. */
const definition = {
  echo: {
    path: "/trunkline.test.EchoService/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: { readonly text: string }) =>
      Buffer.from(toBinary(EchoRequestSchema, create(EchoRequestSchema, message))),
    requestDeserialize: (bytes: Uint8Array) => fromBinary(EchoRequestSchema, bytes),
    responseSerialize: (message: { readonly text: string }) =>
      Buffer.from(toBinary(EchoResponseSchema, create(EchoResponseSchema, message))),
    responseDeserialize: (bytes: Uint8Array) => fromBinary(EchoResponseSchema, bytes)
  }
} as const

const facts = ({ idempotency, kind, name, path, service }: Method.Any) => ({ idempotency, kind, name, path, service })

describe("from protoc-gen-es", () => {
  it("reads every method's path, kind and idempotency", () => {
    const { methods, typeName } = Service.from(EchoService)
    const service = "trunkline.test.EchoService"
    assert.strictEqual(typeName, service)
    const method = (name: string, kind: Method.Kind, idempotency: Method.Idempotency = "unknown") => ({
      idempotency,
      kind,
      name,
      path: `/${service}/${name}`,
      service
    })
    assert.deepStrictEqual(Object.fromEntries(Object.entries(methods).map(([key, value]) => [key, facts(value)])), {
      echo: method("Echo", "unary"),
      expand: method("Expand", "server_streaming"),
      collect: method("Collect", "client_streaming"),
      chat: method("Chat", "bidi_streaming"),
      lookup: method("Lookup", "unary", "no_side_effects")
    })
  })

  it("encodes partial messages and decodes whole ones", () => {
    const { echo } = Service.from(EchoService).methods
    const request = echo.request.decode(echo.request.encode({ text: "hello" }))
    assert.deepStrictEqual([request.text, request.count], ["hello", 0])
  })

  it("is computed once", () => {
    assert.strictEqual(Service.from(EchoService), Service.from(EchoService))
  })
})

describe("from a grpc-js definition", () => {
  it("reads the path and the kind from the stream flags", () => {
    const kinds = [
      [false, false, "unary"],
      [false, true, "server_streaming"],
      [true, false, "client_streaming"],
      [true, true, "bidi_streaming"]
    ] as const
    for (const [requestStream, responseStream, kind] of kinds) {
      const { methods } = Service.from({ echo: { ...definition.echo, requestStream, responseStream } })
      assert.strictEqual(methods.echo.kind, kind)
    }
    const { methods, typeName } = Service.from(definition)
    assert.strictEqual(typeName, "trunkline.test.EchoService")
    assert.strictEqual(methods.echo.name, "Echo")
  })

  it("speaks the same bytes as the protoc-gen-es service", () => {
    const [ours, theirs] = [Service.from(EchoService).methods.echo, Service.from(definition).methods.echo]
    assert.strictEqual(ours.request.decode(theirs.request.encode(create(EchoRequestSchema, { text: "hi" }))).text, "hi")
    assert.strictEqual(theirs.response.decode(ours.response.encode({ text: "ho" })).text, "ho")
  })
})

describe("schema first", () => {
  const Clock = Service.make("demo.Clock", {
    now: Service.unary(Schema.Struct({ zone: Schema.String }), Schema.Date, { idempotency: "no_side_effects" }),
    ticks: Service.serverStreaming(Schema.Finite, Schema.Date)
  })

  it("names methods on the wire as protobuf would", () => {
    assert.deepStrictEqual(facts(Clock.methods.now), {
      idempotency: "no_side_effects",
      kind: "unary",
      name: "Now",
      path: "/demo.Clock/Now",
      service: "demo.Clock"
    })
    assert.strictEqual(Clock.methods.ticks.kind, "server_streaming")
  })

  it("carries what JSON alone does not", () => {
    const { response } = Clock.methods.now
    const date = new Date(1234)
    assert.strictEqual(new TextDecoder().decode(response.encode(date)), '"1970-01-01T00:00:01.234Z"')
    assert.deepStrictEqual(response.decode(response.encode(date)), date)
  })

  it("refuses what is not a message of the method", () => {
    const { request } = Clock.methods.now
    const decode = (text: string) => () => request.decode(new TextEncoder().encode(text))
    assert.throws(decode('{"zone":1}'))
    assert.throws(decode("not json"))
    assert.throws(() => request.decode(Uint8Array.of(0xff)))
  })
})
