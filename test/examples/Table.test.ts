import { assert, describe, it } from "@effect/vitest"
import { colours, plain } from "../../examples/demo/Paint.ts"
import * as Table from "../../examples/demo/Table.ts"

const row: Table.Row = {
  name: "alpha",
  note: "",
  state: "Ready",
  inFlight: 2,
  calls: 1234,
  share: 1 / 3,
  p50: 3.456,
  p99: 12.34,
  failed: 0
}

const frame: Table.Frame = {
  elapsed: 12_345,
  seconds: 20,
  phase: "one frozen",
  calls: 4938,
  failed: 0,
  retries: 3,
  rows: [row, { ...row, name: "beta", note: "killed", state: "Connecting", share: 0, p50: undefined, p99: undefined }]
}

const widest: Table.Row = {
  name: "a-host-with-a-very-long-name.example.com:50051",
  note: "frozen",
  state: "Connecting",
  inFlight: 25_000,
  calls: 1_500_000,
  share: 1,
  p50: 5000.4,
  p99: 12_345.6,
  failed: 999_999
}

// oxlint-disable-next-line no-control-regex -- it is what a colour begins with
const uncoloured = (line: string): string => line.replace(/\u001b\[\d+m/g, "")

describe("Table", () => {
  it("is a bar, the totals and a line for each backend", () => {
    assert.deepStrictEqual(Table.render(frame, plain), [
      "",
      "[========================                ]  12.3 of 20 s  one frozen",
      "calls 4938  failed 0  retries 3",
      "backend                state      in flight    calls  share p50 ms p99 ms failed",
      "alpha                  ready              2     1234  33.3%   3.46   12.3      0",
      "beta (killed)          connecting         2     1234   0.0%      -      -      0"
    ])
  })

  it("is 80 wide, whatever it is of", () => {
    const rows = [widest, ...frame.rows]
    for (const line of Table.backends(rows, plain)) assert.strictEqual(line.length, 80, line)
    for (const line of Table.render({ ...frame, seconds: 300, calls: 1_500_000, failed: 99_999, rows }, plain)) {
      assert.isAtMost(line.length, 80, line)
    }
  })

  it("says the same in colours", () => {
    const rows = [widest, ...frame.rows]
    assert.deepStrictEqual(
      Table.render({ ...frame, failed: 1, rows }, colours).map(uncoloured),
      Table.render({ ...frame, failed: 1, rows }, plain)
    )
  })

  it.each([6, 8, 24])("fits into %i lines", (height) => {
    const many = { ...frame, rows: Array.from({ length: 100 }, () => row) }
    const lines = Table.render(many, plain, height)
    assert.isAtMost(lines.length, height)
    if (height > 6) assert.strictEqual(lines.at(-1), `and ${100 - (height - 6)} more`)
  })

  it("is one line for a log", () => {
    assert.strictEqual(
      Table.line(frame, plain),
      " 12.3 of 20 s  calls 4938  failed 0  retries 3  alpha 33% p99 12.3, beta connecting"
    )
    assert.match(Table.line({ ...frame, rows: Array.from({ length: 5 }, () => row) }, plain), /5 of 5 ready$/)
  })
})

describe("numbers", () => {
  it.each([
    [undefined, "-"],
    [0.004, "0.00"],
    [9.99, "9.99"],
    [9.996, "10.0"],
    [99.94, "99.9"],
    [99.96, "100"],
    [5000.4, "5000"]
  ])("%d ms is %s", (value, text) => assert.strictEqual(Table.millis(value), text))
})
