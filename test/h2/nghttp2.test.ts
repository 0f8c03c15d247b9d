/** The engine against nghttp2, which is what Node's HTTP/2 stands on: both ways, with whatever one may say to the other. */
import { assert, describe, it } from "@effect/vitest"
import * as http2 from "node:http2"
import * as net from "node:net"
import type { AddressInfo } from "node:net"
import { Connection } from "../../src/h2/Connection.ts"
import type { ConnectionError } from "../../src/h2/ErrorCode.ts"
import type { Events } from "../../src/h2/Events.ts"
import type { Stream } from "../../src/h2/Stream.ts"
import { SocketDriver } from "../support/socketDriver.ts"
import { dice } from "./dice.ts"

interface Exchange {
  readonly blocks: Array<ReadonlyArray<string>>
  readonly parts: Array<Buffer>
  readonly done: (exchange: Exchange) => void
}

const ignore = () => {}

const eventsOf = (
  connection: () => Connection<Exchange>,
  failed: (error: ConnectionError) => void,
  served?: (stream: Stream<Exchange>) => void
): Events<Exchange> => {
  const ended = (stream: Stream<Exchange>) => {
    served?.(stream)
    stream.context.done(stream.context)
  }
  return {
    opened: () => ({ blocks: [], parts: [], done: ignore }),
    headers: (stream, fields, endStream) => {
      stream.context.blocks.push(fields)
      if (endStream) ended(stream)
    },
    data: (stream, bytes, endStream) => {
      stream.context.parts.push(Buffer.from(bytes))
      connection().consume(stream, bytes.length)
      if (endStream) ended(stream)
    },
    reset: (stream, code, reason) => assert.fail(`stream ${stream.id} was reset with ${code}: ${reason}`),
    refused: (stream) => assert.fail(`stream ${stream.id} was refused`),
    writable: ignore,
    settings: ignore,
    goaway: ignore,
    pong: ignore,
    failed
  }
}

/** Random fields: names and values that repeat and that do not, some of them secret. */
const fieldsOf = (roll: (sides: number) => number): ReadonlyArray<string> =>
  Array.from({ length: roll(12) }, (_, i) => {
    const name =
      ["x-a", "x-b-bin", "authorization", "x-long", "accept"][roll(5)]! + (roll(4) === 0 ? `-${roll(50)}` : "")
    const value = roll(3) === 0 ? "same" : String.fromCharCode(...Array.from({ length: roll(80) }, () => 33 + roll(94)))
    // A name of its own for each, because Node joins or refuses some that come twice.
    return [`${name}-${i}`, value]
  }).flat()

const listening = (server: net.Server) =>
  new Promise<number>((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)))

/** The fields of a block that are neither the protocol's nor Node's own. */
const custom = (fields: ReadonlyArray<string>): ReadonlyArray<string> => {
  const out: Array<string> = []
  for (let i = 0; i < fields.length; i += 2) {
    if (/^(x-|authorization|accept)/.test(fields[i]!)) out.push(fields[i]!, fields[i + 1]!)
  }
  return out
}

describe("as a client of node:http2", () => {
  it("sends and gets the same fields and bytes, with table sizes that change", { timeout: 60_000 }, async () => {
    const roll = dice(3)
    const seen = new Map<string, ReadonlyArray<string>>()
    const server = http2.createServer({ settings: { headerTableSize: 300 } })
    server.on("session", (session) => {
      session.on("error", ignore)
      for (const size of [0, 4096, 100, 65_536])
        setTimeout(() => !session.destroyed && session.settings({ headerTableSize: size }), roll(100))
    })
    server.on("stream", ((
      stream: http2.ServerHttp2Stream,
      headers: http2.IncomingHttpHeaders,
      _: number,
      raw: Array<string>
    ) => {
      seen.set(String(headers["n"]), custom(raw))
      const parts: Array<Buffer> = []
      stream.on("data", (bytes: Buffer) => parts.push(bytes))
      stream.on("end", () => {
        const echoed = Object.fromEntries(
          Array.from({ length: custom(raw).length / 2 }, (_, i) => custom(raw).slice(2 * i, 2 * i + 2))
        )
        stream.respond({ ":status": 200, ...echoed }, { waitForTrailers: true })
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
        stream.end(Buffer.concat(parts))
      })
    }) as never)
    const socket = net.connect(await listening(server), "127.0.0.1")
    await new Promise((resolve) => socket.once("connect", resolve))
    const problems: Array<string> = []
    const client: Connection<Exchange> = new Connection<Exchange>(
      "client",
      eventsOf(
        () => client,
        ({ message }) => problems.push(message)
      )
    )
    const driver = new SocketDriver(socket, client)
    const call = (n: number) =>
      new Promise<void>((resolve) => {
        const fields = fieldsOf(roll)
        const body = Buffer.alloc(roll(8) === 0 ? roll(300_000) : roll(500), n)
        const done = ({ blocks, parts }: Exchange) => {
          assert.deepStrictEqual(seen.get(String(n)), fields)
          assert.deepStrictEqual(custom(blocks[0]!), fields)
          assert.deepStrictEqual(blocks[1], ["grpc-status", "0"])
          assert.isTrue(Buffer.concat(parts).equals(body))
          resolve()
        }
        const head = [":method", "POST", ":scheme", "http", ":path", "/a", ":authority", "a:1", "n", String(n)]
        const stream = client.open([...head, ...fields], false, { blocks: [], parts: [], done })
        client.sendData(stream, body, true)
        driver.wake()
      })
    for (let n = 0; n < 400; n += 20) await Promise.all(Array.from({ length: 20 }, (_, i) => call(n + i)))
    assert.deepStrictEqual(problems, [])
    socket.destroy()
    server.close()
  })
})

describe("as a server of node:http2", () => {
  it("gets and sends the same fields and bytes", { timeout: 60_000 }, async () => {
    const roll = dice(5)
    const problems: Array<string> = []
    const server = net.createServer((socket) => {
      socket.on("error", ignore)
      const reply = (stream: Stream<Exchange>) => {
        const { blocks, parts } = stream.context
        connection.sendHeaders(stream, [":status", "200", ...custom(blocks[0]!)], false)
        connection.sendData(stream, Buffer.concat(parts), false)
        connection.sendHeaders(stream, ["grpc-status", "0"], true)
        driver.wake()
      }
      const connection: Connection<Exchange> = new Connection<Exchange>(
        "server",
        eventsOf(
          () => connection,
          ({ message }) => problems.push(message),
          reply
        ),
        { headerTableSize: 200 }
      )
      const driver = new SocketDriver(socket, connection)
    })
    const client = http2.connect(`http://127.0.0.1:${await listening(server)}`)
    const call = (n: number) =>
      new Promise<void>((resolve, reject) => {
        const fields = fieldsOf(roll)
        const body = Buffer.alloc(roll(8) === 0 ? roll(300_000) : roll(500), n)
        const named = Object.fromEntries(
          Array.from({ length: fields.length / 2 }, (_, i) => fields.slice(2 * i, 2 * i + 2))
        )
        const stream = client.request({ ":method": "POST", ":path": "/a", ...named })
        const parts: Array<Buffer> = []
        let status: unknown
        let raw: ReadonlyArray<string> = []
        stream.on("response", ((_: unknown, __: number, list: ReadonlyArray<string>) => (raw = custom(list))) as never)
        stream.on("trailers", (trailers) => (status = trailers["grpc-status"]))
        stream.on("data", (bytes: Buffer) => parts.push(bytes))
        stream.on("error", reject)
        stream.on("end", () => {
          assert.deepStrictEqual(raw, fields)
          assert.strictEqual(status, "0")
          assert.isTrue(Buffer.concat(parts).equals(body))
          resolve()
        })
        stream.end(body)
      })
    for (let n = 0; n < 400; n += 20) await Promise.all(Array.from({ length: 20 }, (_, i) => call(n + i)))
    assert.deepStrictEqual(problems, [])
    client.destroy()
    server.close()
  })
})
