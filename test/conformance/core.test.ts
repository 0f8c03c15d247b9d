/** The engine's core, held to RFC 9113 in both roles, with bytes that come whole and one by one. */
import { assert, describe, it } from "@effect/vitest"
import { Connection } from "../../src/h2/Connection.ts"
import type { Events } from "../../src/h2/Events.ts"
import { Flag, FrameType } from "../../src/h2/Frame.ts"
import { clientHello, framesOf, post, settings } from "../support/frames.ts"
import { type Case, type Outcome, toClient, toServer } from "./cases.ts"

const silent: Events<undefined> = {
  opened: () => undefined,
  headers: () => {},
  data: () => {},
  reset: () => {},
  refused: () => {},
  writable: () => {},
  settings: () => {},
  goaway: () => {},
  pong: () => {},
  failed: () => {}
}

const outcomeOf = (connection: Connection<undefined>, sent: ReadonlyArray<Buffer>, inPieces: boolean): Outcome => {
  connection.output.take()
  const bytes = Buffer.concat([...sent])
  if (inPieces) for (const byte of bytes) connection.receive(Buffer.from([byte]), 0)
  else connection.receive(bytes, 0)
  const frames = framesOf(Buffer.concat(connection.output.take()))
  const end = frames.find(({ type }) => type === FrameType.GOAWAY)
  if (end !== undefined) return { connection: end.payload.readUInt32BE(4) }
  const reset = frames.find(({ type }) => type === FrameType.RST_STREAM)
  return reset === undefined ? "goes on" : { stream: reset.streamId, code: reset.payload.readUInt32BE(0) }
}

const server = () => {
  const connection = new Connection("server", silent)
  connection.receive(clientHello, 0)
  return connection
}

const client = () => {
  const connection = new Connection("client", silent)
  connection.receive(settings(), 0)
  connection.open(post, false, undefined)
  return connection
}

const title = ({ name, section }: Case) => `${section} ${name}`

describe.each([false, true])("byte by byte: %s", (inPieces) => {
  describe("a server", () => {
    it.each(toServer.map((one) => [title(one), one] as const))("%s", (_, { outcome, sent }) =>
      assert.deepStrictEqual(outcomeOf(server(), sent, inPieces), outcome)
    )
  })

  describe("a client", () => {
    it.each(toClient.map((one) => [title(one), one] as const))("%s", (_, { outcome, sent }) =>
      assert.deepStrictEqual(outcomeOf(client(), sent, inPieces), outcome)
    )
  })
})

describe("3.4 the connection preface", () => {
  it("is demanded of a client", () => {
    const connection = new Connection("server", silent)
    assert.deepStrictEqual(outcomeOf(connection, [Buffer.from("GET / HTTP/1.1\r\n\r\n")], false), { connection: 1 })
  })

  it("includes SETTINGS", () => {
    const connection = new Connection("client", silent)
    const ping = Buffer.from("000008060000000000" + "00".repeat(8), "hex")
    assert.deepStrictEqual(outcomeOf(connection, [ping], false), { connection: 1 })
  })
})

describe("6.5.3 SETTINGS", () => {
  it("are acknowledged, and a PING is answered with its payload", () => {
    const connection = server()
    connection.output.take()
    connection.receive(Buffer.concat([settings([1, 100]), Buffer.from("00000806000000000001020304aabbccdd", "hex")]), 0)
    const [ack, pong] = framesOf(Buffer.concat(connection.output.take()))
    assert.deepStrictEqual([ack?.type, ack?.flags, ack?.payload.length], [FrameType.SETTINGS, Flag.ACK, 0])
    assert.deepStrictEqual(
      [pong?.type, pong?.flags, pong?.payload.toString("hex")],
      [FrameType.PING, 1, "01020304aabbccdd"]
    )
  })
})
