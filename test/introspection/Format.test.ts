import { assert, describe, it } from "@effect/vitest"
import * as Format from "../../src/introspection/Format.ts"

const plain = (text: string) => text.replace(/[\u00a0\u2009]/g, " ")

describe("Amount", () => {
  it.each<[number, string]>([
    [0.42, "0.42/s"],
    [82.4, "82/s"],
    [134, "134/s"],
    [12_345.6, "12 346/s"]
  ])("rate %d is %s", (value, text) => assert.strictEqual(plain(Format.rate(value)), text))

  it.each<[number, string]>([
    [0, "0"],
    [999, "999"],
    [1000, "1 000"],
    [1_234_567.8, "1 234 568"]
  ])("count %d is %s", (value, text) => assert.strictEqual(plain(Format.count(value)), text))

  it.each<[number, string]>([
    [0, "0 ms"],
    [0.0417, "0.042 ms"],
    [3.14, "3.1 ms"],
    [123.4, "123 ms"],
    [1500, "1.5 s"],
    [123_456, "123 s"]
  ])("latency %d is %s", (millis, text) => assert.strictEqual(plain(Format.latency(millis)), text))

  it.each<[number, string]>([
    [-5, "now"],
    [999, "now"],
    [1000, "1 s"],
    [119_999, "1 min"],
    [3_600_000, "1 h"],
    [86_400_000 * 400, "400 d"]
  ])("span %d is %s", (millis, text) => assert.strictEqual(plain(Format.span(millis)), text))

  it.each<[number, string, string]>([
    [-5, "just now", "now"],
    [999, "just now", "now"],
    [1000, "1 s ago", "in 1 s"],
    [119_999, "1 min ago", "in 1 min"]
  ])("%d is %s, or %s", (millis, ago, ahead) => {
    assert.deepStrictEqual([plain(Format.ago(millis)), plain(Format.ahead(millis))], [ago, ahead])
  })

  it.each<[number, string]>([
    [0, "1970-01-01T00:00:00.000Z"],
    [Infinity, "never"],
    [1e300, "never"],
    [Number.NaN, "never"]
  ])("instant %d is %s", (millis, text) => assert.strictEqual(Format.instant(millis), text))
})
