/**
 * The sockets below a grpc-js server, which it keeps to itself.
 *
 * It neither bounds how many there are, nor how long one may say nothing, and its shutdown waits for those that never spoke.
 * Node's servers are in a field of it that is not public; where they cannot be read, these bounds do not hold.
 */
import type * as grpc from "@grpc/grpc-js"
import type { Http2Server, ServerHttp2Session } from "node:http2"
import { Server as NodeServer, type Socket } from "node:net"
import type { Router } from "../server/Server.ts"
import type { ServerLimits } from "../server/ServerLimits.ts"
import * as RequestFields from "./RequestFields.ts"

const isServer = (u: unknown): u is Http2Server => u instanceof NodeServer

const serversOf = (server: grpc.Server): ReadonlyArray<Http2Server> => {
  const { http2Servers } = server as unknown as { readonly http2Servers?: unknown }
  return http2Servers instanceof Map ? [...http2Servers.keys()].filter(isServer) : []
}

/** How a connection is known to both its raw and its TLS socket; `undefined` for a Unix socket. */
const keyOf = (socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }) =>
  socket.remoteAddress === undefined ? undefined : `${socket.remoteAddress}:${socket.remotePort}`

/** The longest time Node's timers count; a longer wait is none. */
const longestTimer = 2 ** 31 - 1

/** The open sockets of a server. */
export class GrpcSockets {
  readonly #sockets = new Set<Socket>()
  /** Of connections that have not spoken HTTP/2 yet. */
  readonly #timers = new Map<unknown, NodeJS.Timeout>()

  /** Watches a server that is bound. */
  watch(server: grpc.Server, limits: ServerLimits, router: Router): void {
    for (const node of serversOf(server)) {
      RequestFields.stand(node, router)
      if (limits.maxConnections !== Infinity) node.maxConnections = limits.maxConnections
      // Whatever goes wrong with one connection is that connection's.
      node.on("error", () => {})
      node.on("connection", (socket: Socket) => this.#connected(socket, limits.handshakeMillis))
      node.on("session", (session) => this.#opened(session))
    }
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #connected(socket: Socket, handshakeMillis: number): void {
    const key = keyOf(socket) ?? socket
    this.#sockets.add(socket)
    socket.on("error", () => {})
    socket.once("close", () => {
      this.#sockets.delete(socket)
      this.#spoke(key)
    })
    if (handshakeMillis > longestTimer) return
    const timer = setTimeout(() => {
      // What is known of a Unix socket is whether it has said anything.
      if (key !== socket || socket.bytesRead === 0) socket.destroy()
    }, handshakeMillis)
    this.#timers.set(key, timer)
  }

  #opened(session: ServerHttp2Session): void {
    const key = keyOf(session.socket)
    session.once("remoteSettings", () => this.#spoke(key))
  }

  #spoke(key: unknown): void {
    clearTimeout(this.#timers.get(key))
    this.#timers.delete(key)
  }
}
