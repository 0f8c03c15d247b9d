/** What a hostile peer does to make this side work or remember without end; each limit says its name. */
import { assert, describe, it } from "@effect/vitest"
import { Connection } from "../../src/h2/Connection.ts"
import { ErrorCode } from "../../src/h2/ErrorCode.ts"
import type { Events } from "../../src/h2/Events.ts"
import { Flag, FrameType } from "../../src/h2/Frame.ts"
import { defaults, type Limits } from "../../src/h2/Limits.ts"
import { block, clientHello, data, frame, headers, ping, post, rstStream, settings } from "../support/frames.ts"

const serverOf = (limits: Partial<Limits>) => {
  const seen = { opened: 0, resets: 0 }
  const events: Events<undefined> = {
    opened: () => {
      seen.opened++
      return undefined
    },
    headers: () => {},
    data: () => {},
    reset: () => void seen.resets++,
    refused: () => {},
    writable: () => {},
    settings: () => {},
    goaway: () => {},
    pong: () => {},
    failed: () => {}
  }
  const server = new Connection("server", events, limits)
  server.receive(clientHello, 0)
  server.output.take()
  return { server, seen }
}

/** How often `bytes` can be sent before the connection ends, and which limit ended it. */
const endure = (
  limits: Partial<Limits>,
  bytes: (n: number) => Buffer,
  options: { readonly reads?: boolean; readonly millis?: number; readonly times?: number } = {}
) => {
  const { server, seen } = serverOf(limits)
  for (let n = 0; n < (options.times ?? 10_000); n++) {
    server.receive(bytes(n), n * (options.millis ?? 0))
    if (server.error !== undefined) return { ...seen, after: n, code: server.error.code, limit: server.error.limit }
    if (options.reads !== false) server.output.take()
  }
  return { ...seen, after: Infinity, code: undefined, limit: undefined }
}

const id = (n: number) => 2 * n + 1
const calm = ErrorCode.ENHANCE_YOUR_CALM

describe("floods", () => {
  it.each([
    ["streams reset at once", (n: number) => Buffer.concat([headers(id(n), post), rstStream(id(n), 8)])],
    ["streams this side must reset", (n: number) => headers(id(n), [...post, "Bad", "name"])],
    ["streams over the limit", (n: number) => headers(id(n), post)]
  ])("%s: maxResetsPerSecond", (name, bytes) => {
    const limits = { maxResetsPerSecond: 50, maxConcurrentStreams: name.includes("over") ? 0 : 1000 }
    const { after, code, limit } = endure(limits, bytes)
    assert.deepStrictEqual([after, code, limit], [50, calm, "maxResetsPerSecond"])
    assert.strictEqual(endure(limits, bytes, { millis: 25, times: 500 }).after, Infinity, "40 a second are no flood")
  })

  it.each([
    ["SETTINGS", () => settings()],
    ["PING", () => ping()],
    ["PRIORITY", (n: number) => frame(FrameType.PRIORITY, 0, id(n), Buffer.alloc(5))],
    ["unknown frames", () => frame(99, 0, 0)]
  ])("%s: maxIdleFramesPerSecond", (_, bytes) => {
    const { code, limit } = endure({ maxIdleFramesPerSecond: 50 }, bytes)
    assert.deepStrictEqual([code, limit], [calm, "maxIdleFramesPerSecond"])
    assert.strictEqual(endure({ maxIdleFramesPerSecond: 50 }, bytes, { millis: 25, times: 500 }).after, Infinity)
  })

  it.each([
    ["DATA", () => data(1, [])],
    ["padded DATA", () => data(1, [0], Flag.PADDED)]
  ])("empty %s: maxIdleFramesPerSecond", (_, bytes) => {
    const all = (n: number) => (n === 0 ? headers(1, post) : bytes())
    const { code, limit } = endure({ maxIdleFramesPerSecond: 50 }, all)
    assert.deepStrictEqual([code, limit], [calm, "maxIdleFramesPerSecond"])
  })

  it("PINGs whose answers are not read: maxUnreadAnswers", () => {
    const { after, code, limit } = endure({ maxUnreadAnswers: 20 }, () => ping(), { reads: false, millis: 100 })
    assert.deepStrictEqual([after, code, limit], [20, calm, "maxUnreadAnswers"])
  })

  it("a header block without an end: maxContinuations and maxHeaderBlockSize", () => {
    const begin = frame(FrameType.HEADERS, 0, 1, block(...post))
    const empty = endure({ maxContinuations: 8 }, (n) => (n === 0 ? begin : frame(FrameType.CONTINUATION, 0, 1)))
    assert.deepStrictEqual([empty.after, empty.code, empty.limit], [9, calm, "maxContinuations"])
    const full = endure({ maxContinuations: 100 }, (n) =>
      n === 0 ? begin : frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(16_000, 0x82))
    )
    assert.deepStrictEqual([full.after, full.code, full.limit], [5, calm, "maxHeaderBlockSize"])
  })

  it("a header bomb is decoded, and not kept", () => {
    const kept: Array<number> = []
    const { server } = serverOf({})
    const told = {
      ...server.events,
      headers: (_: unknown, fields: ReadonlyArray<string>) => void kept.push(fields.length)
    }
    const victim = new Connection("server", told, { maxHeaderListSize: 10_000 })
    victim.receive(clientHello, 0)
    // One large field enters the table, and a byte each repeats it.
    const large = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x62)])
    const bomb = Buffer.concat([block(...post), large, Buffer.alloc(12_000, 0xbe)])
    victim.receive(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, bomb), 0)
    assert.isUndefined(victim.error)
    assert.isAtMost(kept[0]!, 2 * 8)
  })

  it("are told apart from work: the defaults bear a busy client", () => {
    const busy = (n: number) =>
      Buffer.concat([
        headers(id(n), post),
        data(id(n), "hello", Flag.END_STREAM),
        n % 10 === 0 ? rstStream(id(n), 8) : ping()
      ])
    // 800 calls a second, of which a tenth is cancelled, with a ping for each of the others.
    const { server } = serverOf({})
    for (let n = 0; n < 4000; n++) {
      server.receive(busy(n), n * 1.25)
      const stream = server.streams.get(id(n))
      if (stream !== undefined) server.sendHeaders(stream, [":status", "200"], true)
      server.output.take()
    }
    assert.isUndefined(server.error)
    assert.isAtLeast(defaults.maxResetsPerSecond, 80)
  })
})
