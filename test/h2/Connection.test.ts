/** Two connections back to back, through a network that cuts bytes anywhere. */
import { assert, describe, it } from "@effect/vitest"
import { Connection } from "../../src/h2/Connection.ts"
import type { Events } from "../../src/h2/Events.ts"
import { ErrorCode } from "../../src/h2/ErrorCode.ts"
import { max31 } from "../../src/h2/Frame.ts"
import type { Limits } from "../../src/h2/Limits.ts"
import type { Stream } from "../../src/h2/Stream.ts"
import { dice } from "./dice.ts"

/** What one side has seen of a stream. */
interface Seen {
  readonly blocks: Array<ReadonlyArray<string>>
  readonly parts: Array<Buffer>
  ended: boolean
  resets: number
  refused: boolean
}

const unseen = (): Seen => ({ blocks: [], parts: [], ended: false, resets: 0, refused: false })

type Told = Partial<Events<Seen>>

/** Keeps what happens on streams; what is not consumed stays in the window. */
const recorder = (side: () => Connection<Seen>, consumes: boolean, told: Told = {}): Events<Seen> => ({
  opened: () => unseen(),
  headers: (stream, fields, endStream) => {
    stream.context.blocks.push(fields)
    stream.context.ended ||= endStream
  },
  data: (stream, bytes, endStream) => {
    assert.isFalse(stream.context.ended, "data after the end")
    stream.context.parts.push(Buffer.from(bytes))
    stream.context.ended ||= endStream
    if (consumes) side().consume(stream, bytes.length)
  },
  reset: (stream) => void stream.context.resets++,
  refused: (stream) => {
    stream.context.refused = true
  },
  writable: () => {},
  settings: () => {},
  goaway: () => {},
  pong: () => {},
  failed: () => {},
  ...told
})

interface Options {
  readonly client?: Partial<Limits>
  readonly server?: Partial<Limits>
  readonly consumes?: boolean
  readonly clientTold?: Told
  readonly serverTold?: Told
}

const pair = (options: Options = {}) => {
  const consumes = options.consumes ?? true
  const client: Connection<Seen> = new Connection<Seen>(
    "client",
    recorder(() => client, consumes, options.clientTold),
    options.client
  )
  const server: Connection<Seen> = new Connection<Seen>(
    "server",
    recorder(() => server, consumes, options.serverTold),
    options.server
  )
  return { client, server }
}

/** What holds after every piece of every frame. */
const check = (connection: Connection<Seen>) => {
  const { window } = connection.flow
  if (window < 0 || window > max31) throw new Error(`the connection's window is ${window}`)
  for (const { id, isClosed, receiveWindow, sendWindow } of connection.streams.values()) {
    if (isClosed || sendWindow > max31 || receiveWindow < 0) {
      throw new Error(`stream ${id}: closed ${isClosed}, sends ${sendWindow}, receives ${receiveWindow}`)
    }
  }
}

/** Moves bytes both ways, in pieces, until there are none. */
const settle = (a: Connection<Seen>, b: Connection<Seen>, piece: () => number = () => Infinity) => {
  const move = (from: Connection<Seen>, to: Connection<Seen>): boolean => {
    const bytes = Buffer.concat(from.output.take())
    for (let at = 0; at < bytes.length;) {
      const size = Math.min(bytes.length - at, Math.max(1, piece()))
      // A driver uses its buffer again, so what was handed over must not be kept.
      const chunk = Buffer.from(bytes.subarray(at, at + size))
      to.receive(chunk, 0)
      chunk.fill(0xee)
      at += size
      check(to)
    }
    return bytes.length > 0
  }
  for (let moved = true; moved;) moved = [move(a, b), move(b, a)].includes(true)
}

const request = [":method", "POST", ":scheme", "http", ":path", "/demo.Echo/Say", ":authority", "a:1"]
const response = [":status", "200"]
const trailers = ["grpc-status", "0"]

describe("two connections", () => {
  it("deliver the same bytes, whatever the pieces, sizes and windows", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const roll = dice(seed)
      const sizes = () => ({
        streamWindow: 1 + roll(3) * 40_000 + roll(1000),
        connectionWindow: 65_535 + roll(2) * 100_000,
        maxFrameSize: 16_384 + roll(2) * 20_000
      })
      const { client, server } = pair({ client: sizes(), server: sizes() })
      const payload = () => Buffer.alloc(roll(4) === 0 ? roll(200_000) : roll(300), roll(256))
      const piece = () => (roll(9) === 0 ? 1 + roll(20) : 1 + roll(50_000))
      settle(client, server, piece)
      const sent: Array<{ readonly stream: Stream<Seen>; readonly up: Buffer; readonly down: Buffer }> = []
      for (let n = 0; n < 10; n++) {
        const up = Array.from({ length: roll(4) }, payload)
        const stream = client.open([...request, "n", String(n)], up.length === 0, unseen())
        for (const [i, bytes] of up.entries()) client.sendData(stream, bytes, i === up.length - 1)
        if (roll(2) === 0) settle(client, server, piece)
        const down = payload()
        sent.push({ stream, up: Buffer.concat(up), down })
      }
      settle(client, server, piece)
      for (const { stream, up, down } of sent) {
        const served = server.streams.get(stream.id)!
        assert.deepStrictEqual(served.context.blocks, [[...request, "n", String((stream.id - 1) / 2)]])
        assert.isTrue(served.context.ended)
        assert.isTrue(Buffer.concat(served.context.parts).equals(up), `seed ${seed}`)
        server.sendHeaders(served, response, false)
        server.sendData(served, down, false)
        server.sendHeaders(served, trailers, true)
      }
      settle(client, server, piece)
      for (const { stream, down } of sent) {
        assert.deepStrictEqual(stream.context.blocks, [response, trailers])
        assert.isTrue(Buffer.concat(stream.context.parts).equals(down), `seed ${seed}`)
      }
      assert.deepStrictEqual(
        [client.error, server.error, client.streams.size, server.streams.size],
        [undefined, undefined, 0, 0]
      )
    }
  })

  it("send no more than the other side has room for, and go on when it has consumed", () => {
    const { client, server } = pair({ server: { streamWindow: 1000 }, consumes: false })
    settle(client, server)
    const stream = client.open(request, false, unseen())
    client.sendData(stream, Buffer.alloc(3000), true)
    settle(client, server)
    const served = server.streams.get(1)!
    const received = () => served.context.parts.reduce((sum, part) => sum + part.length, 0)
    assert.deepStrictEqual([received(), stream.queuedBytes, served.context.ended], [1000, 2000, false])
    server.consume(served, 400)
    settle(client, server)
    assert.strictEqual(received(), 1000, "less than half of the window is not worth a frame")
    server.consume(served, 100)
    settle(client, server)
    assert.strictEqual(received(), 1500)
    for (let n = 0; n < 3; n++) {
      server.consume(served, 500)
      settle(client, server)
    }
    assert.deepStrictEqual([received(), served.context.ended], [3000, true])
  })

  it("follow an initial window that shrinks below what was sent", () => {
    const { client, server } = pair({ server: { streamWindow: 1000 }, consumes: false })
    settle(client, server)
    const stream = client.open(request, false, unseen())
    client.sendData(stream, Buffer.alloc(800), false)
    settle(client, server)
    server.output.settings([[4, 100]])
    settle(client, server)
    assert.strictEqual(stream.sendWindow, -700)
    client.sendData(stream, Buffer.alloc(50), false)
    assert.strictEqual(stream.queuedBytes, 50)
    server.output.windowUpdate(1, 800)
    settle(client, server)
    assert.deepStrictEqual([stream.sendWindow, stream.queuedBytes], [50, 0])
  })

  it("share the connection's window by turns", () => {
    const { client, server } = pair({ server: { connectionWindow: 65_535, streamWindow: 1_000_000 }, consumes: false })
    settle(client, server)
    const streams = [1, 2, 3].map(() => client.open(request, false, unseen()))
    for (const stream of streams) client.sendData(stream, Buffer.alloc(60_000), false)
    settle(client, server)
    const arrived = streams.map(({ id }) =>
      server.streams.get(id)!.context.parts.reduce((sum, part) => sum + part.length, 0)
    )
    // The first had the window to itself; from then on it is shared, and nobody waits for the first to be done.
    assert.deepStrictEqual(arrived, [60_000, 60_000, 60_000])
  })

  it("hold data back while the driver cannot take it, and nothing else", () => {
    const { client, server } = pair()
    settle(client, server)
    const stream = client.open(request, false, unseen())
    client.flow.hold()
    client.sendData(stream, Buffer.from("later"), true)
    client.ping(Buffer.from("12345678"))
    settle(client, server)
    const served = server.streams.get(1)!
    assert.deepStrictEqual(served.context.parts, [])
    client.flow.release()
    settle(client, server)
    assert.deepStrictEqual([Buffer.concat(served.context.parts).toString(), served.context.ended], ["later", true])
  })

  it("say which streams a goodbye leaves out, and finish the others", () => {
    const goodbyes: Array<readonly [number, number, string]> = []
    const { client, server } = pair({ clientTold: { goaway: (...said) => goodbyes.push(said) } })
    settle(client, server)
    const [first, second] = [1, 2].map(() => client.open(request, true, unseen()))
    settle(client, server)
    server.goaway(ErrorCode.NO_ERROR, "drain", first!.id)
    settle(client, server)
    assert.deepStrictEqual(goodbyes, [[1, 0, "drain"]])
    assert.deepStrictEqual(
      [first!.context.refused, second!.context.refused, client.unavailable],
      [false, true, "goaway"]
    )
    server.sendHeaders(server.streams.get(1)!, response, true)
    settle(client, server)
    assert.isTrue(first!.context.ended)
  })

  it("open no more streams than the server takes", () => {
    const { client, server } = pair({ server: { maxConcurrentStreams: 2 } })
    settle(client, server)
    for (let n = 0; n < 2; n++) client.open(request, true, unseen())
    assert.strictEqual(client.unavailable, "full")
    settle(client, server)
    server.sendHeaders(server.streams.get(1)!, response, true)
    settle(client, server)
    assert.isUndefined(client.unavailable)
  })

  it("drop what was on its way to a stream that was reset", () => {
    const { client, server } = pair()
    settle(client, server)
    const stream = client.open(request, false, unseen())
    settle(client, server)
    const served = server.streams.get(1)!
    server.sendHeaders(served, response, false)
    server.sendData(served, Buffer.from("too late"), false)
    client.reset(stream, ErrorCode.CANCEL)
    settle(client, server)
    assert.deepStrictEqual([client.error, server.error, served.context.resets], [undefined, undefined, 1])
    assert.deepStrictEqual(stream.context.blocks, [])
  })

  it("keep going after any order of commands", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const roll = dice(seed)
      const { client, server } = pair({ client: { streamWindow: 500 }, server: { streamWindow: 500 } })
      settle(client, server)
      const all = new Set<Stream<Seen>>()
      const pick = (streams: Iterable<Stream<Seen>>) => {
        const list = [...streams]
        return list[roll(list.length)]
      }
      for (let n = 0; n < 120; n++) {
        const [side, other] = roll(2) === 0 ? [client, server] : [server, client]
        const stream = pick(side.streams.values())
        switch (roll(7)) {
          case 0:
            if (client.unavailable === undefined) all.add(client.open(request, roll(3) === 0, unseen()))
            break
          case 1:
            if (stream !== undefined && side === server) side.sendHeaders(stream, response, roll(4) === 0)
            break
          case 2: {
            // A server says its status before its data.
            const may = stream !== undefined && (side === client || stream.context.ended)
            if (may && side === client) side.sendData(stream, Buffer.alloc(roll(1500)), roll(4) === 0)
            break
          }
          case 3:
            if (stream !== undefined && roll(3) === 0) side.reset(stream, ErrorCode.CANCEL)
            break
          case 4:
            side.ping(Buffer.alloc(8))
            break
          default:
            settle(side, other, () => 1 + roll(100))
        }
      }
      settle(client, server)
      assert.deepStrictEqual([client.error?.message, server.error?.message], [undefined, undefined], `seed ${seed}`)
    }
  })
})
