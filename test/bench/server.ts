/**
 * The servers: three ports that answer unary calls for as little CPU as node can, so that the clients are what is
 * measured. Runs as a child; says where it listens and ends when its parent lets go.
 */
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"

const ports = 3

const headers = { ":status": 200, "content-type": "application/grpc" }
const trailers = { "grpc-status": "0" }

/**
 * Sends the request's message back as it came. That is the right answer: `EchoRequest` and `EchoResponse` keep their
 * text in the same field, and the bench sends nothing else.
 */
const answer = (stream: http2.ServerHttp2Stream): void => {
  stream.respond(headers, { waitForTrailers: true })
  stream.on("wantTrailers", () => stream.sendTrailers(trailers))
  stream.on("data", (frame: Buffer) => stream.write(frame))
  stream.on("end", () => stream.end())
  // A client that leaves takes its streams with it.
  stream.on("error", () => {})
}

const listen = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const server = http2.createServer()
    server.on("stream", answer)
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`))
  })

process.on("disconnect", () => process.exit())
process.send!(await Promise.all(Array.from({ length: ports }, listen)))
