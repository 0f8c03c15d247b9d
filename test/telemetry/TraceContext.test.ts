import { assert, describe, it } from "@effect/vitest"
import { Tracer } from "effect"
import { Metadata, TraceContext } from "trunkline"

const trace = "0af7651916cd43dd8448eb211c80319c"
const span = "b7ad6b7169203331"

describe("TraceContext", () => {
  it.each([
    ["sampled", `00-${trace}-${span}-01`, true],
    ["not sampled", `00-${trace}-${span}-00`, false],
    ["flags this version does not know", `00-${trace}-${span}-03`, true],
    ["a later version", `cc-${trace}-${span}-01`, true],
    ["a later version with more to say", `cc-${trace}-${span}-01-what`, true]
  ])("%s is read", (_, text, sampled) => {
    const parent = TraceContext.parentOf(Metadata.makeUnsafe({ traceparent: text }))
    assert.deepStrictEqual([parent?.traceId, parent?.spanId, parent?.sampled], [trace, span, sampled])
  })

  it.each([
    ["nothing", {}],
    ["no words", { traceparent: "" }],
    ["version ff", { traceparent: `ff-${trace}-${span}-01` }],
    ["version 00 with more", { traceparent: `00-${trace}-${span}-01-what` }],
    ["a later version run together", { traceparent: `cc-${trace}-${span}-01what` }],
    ["a trace of zeros", { traceparent: `00-${"0".repeat(32)}-${span}-01` }],
    ["a span of zeros", { traceparent: `00-${trace}-${"0".repeat(16)}-01` }],
    ["capitals", { traceparent: `00-${trace.toUpperCase()}-${span}-01` }],
    ["a short trace", { traceparent: `00-${trace.slice(1)}-${span}-01` }],
    ["no flags", { traceparent: `00-${trace}-${span}` }],
    ["two of them", { traceparent: [`00-${trace}-${span}-01`, `00-${trace}-${span}-01`] }]
  ])("%s is no trace context", (_, input) => {
    assert.strictEqual(TraceContext.parentOf(Metadata.makeUnsafe(input)), undefined)
  })

  it("what is written is read, and a short trace id is filled up", () => {
    const from = Tracer.externalSpan({ traceId: trace.slice(16), spanId: span, sampled: false })
    const metadata = TraceContext.inject(Metadata.makeUnsafe({ other: "1" }), from, "a=1")
    assert.deepStrictEqual(
      [...metadata],
      [
        ["other", ["1"]],
        ["traceparent", [`00-${"0".repeat(16)}${trace.slice(16)}-${span}-00`]],
        ["tracestate", ["a=1"]]
      ]
    )
    assert.strictEqual(TraceContext.parentOf(metadata)?.sampled, false)
  })

  it("state that came in parts is one state", () => {
    assert.strictEqual(TraceContext.stateOf(Metadata.makeUnsafe({ tracestate: ["a=1", "b=2"] })), "a=1,b=2")
    assert.strictEqual(TraceContext.stateOf(Metadata.empty), undefined)
  })
})
