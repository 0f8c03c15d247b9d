/**
 * From a socket that is connected to one that HTTP/2 can begin on: through the proxy, and into TLS.
 */
import { Result } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import * as tls from "node:tls"
import { format } from "../discovery/Endpoint.ts"
import type { ServerCertificate } from "../transport/Tls.ts"
import { explain, type Way } from "./Way.ts"

/** Told once: the socket, or why there is none. */
export type Done = (opened: Result.Result<net.Socket, string>) => void

/** Asks the proxy to connect to the server. */
const tunnel = (socket: net.Socket, way: Way, done: Done): void => {
  const target = format(way.endpoint.address)
  const credentials = way.proxy?.credentials
  const fail = (error: unknown) => {
    socket.destroy()
    done(Result.fail(explain(way, "tunnel", error)))
  }
  const request = http.request({
    createConnection: () => socket,
    method: "CONNECT",
    path: target,
    headers: {
      host: target,
      ...(credentials === undefined
        ? undefined
        : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` })
    }
  })
  request.on("error", fail)
  request.once("connect", ({ statusCode = 0, statusMessage = "" }, opened, head: Buffer) => {
    if (statusCode < 200 || statusCode > 299) return fail(`${statusCode} ${statusMessage}`.trim())
    // The server may have spoken already.
    if (head.length > 0) opened.unshift(head)
    done(Result.succeed(socket))
  })
  request.end()
}

/** The check of a certificate whose authority is trusted. What it throws is its answer. */
const checkIdentity =
  ({ identity, name }: Way) =>
  (_: string, certificate: tls.PeerCertificate): Error | undefined => {
    const own: ((name: string, certificate: ServerCertificate) => Error | undefined) | undefined =
      identity?.().settings.checkServerIdentity
    try {
      return own === undefined ? tls.checkServerIdentity(name, certificate) : own(name, certificate)
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

const handshake = (socket: net.Socket, way: Way, done: Done): void => {
  let secured: tls.TLSSocket
  const fail = (step: "secure" | "settle", error: unknown) => {
    secured?.destroy()
    socket.destroy()
    done(Result.fail(explain(way, step, error)))
  }
  try {
    secured = tls.connect({
      socket,
      secureContext: way.identity!().context(),
      ALPNProtocols: ["h2"],
      // The name that is asked for; an address cannot be asked for, only checked.
      servername: net.isIP(way.name) === 0 ? way.name : "",
      checkServerIdentity: checkIdentity(way)
    })
  } catch (error) {
    return fail("secure", error)
  }
  const failed = (error: unknown) => fail("secure", error)
  const closed = () => fail("secure", undefined)
  secured.once("error", failed)
  secured.once("close", closed)
  secured.once("secureConnect", () => {
    secured.off("error", failed).off("close", closed)
    if (secured.alpnProtocol === "h2") return done(Result.succeed(secured))
    fail("settle", Object.assign(new Error("no ALPN"), { code: "ALPN" }))
  })
  // What comes later is for whoever has the socket then, and must not be nobody.
  secured.on("error", () => {})
}

/** Makes a connected socket ready for HTTP/2. A socket that cannot be is destroyed. */
export const upgrade = (socket: net.Socket, way: Way, tell: Done): void => {
  let over = false
  // The first word is the reason; what follows are the sockets that end.
  const done: Done = (opened) => {
    if (!over) tell(opened)
    over = true
  }
  const tunnelled: Done = (opened) => {
    if (Result.isFailure(opened) || way.identity === undefined) return done(opened)
    handshake(opened.success, way, done)
  }
  if (way.proxy === undefined) tunnelled(Result.succeed(socket))
  else tunnel(socket, way, tunnelled)
}
