/**
 * Where the HTTP/2 session under a grpc-js channel comes into sight.
 *
 * grpc-js gives no access to the session it opens with Node, and makes mistakes on it that end the process or leave a dead
 * connection in use: it does not listen where Node tells of a pushed stream, and not to what happens after its first error.
 * Its credentials are handed each socket before HTTP/2 begins, and Node keeps the session of a socket on the socket, under
 * a key that has changed between its versions. So the session is looked for there, by what it is and not by the key. Where
 * it is not found nothing is mended, and everything else works.
 */
import * as grpc from "@grpc/grpc-js"
import { EventEmitter } from "node:events"
import type { ClientHttp2Session } from "node:http2"
import type { Socket } from "node:net"

type CreateConnector = grpc.ChannelCredentials["_createSecureConnector"]
type SecureConnector = ReturnType<CreateConnector>

const isSession = (u: unknown): u is ClientHttp2Session =>
  u instanceof EventEmitter && ["request", "goaway", "ping", "settings"].every((name) => name in u)

/** The HTTP/2 session of a socket. */
export const sessionOf = (socket: Socket): ClientHttp2Session | undefined => {
  for (const key of Reflect.ownKeys(socket)) {
    const value: unknown = Reflect.get(socket, key)
    if (isSession(value)) return value
  }
  return undefined
}

/** Credentials that tell of each session before its first event. */
export class SessionCredentials extends grpc.ChannelCredentials {
  readonly #inner: grpc.ChannelCredentials
  readonly #onSession: (session: ClientHttp2Session, socket: Socket) => void

  constructor(inner: grpc.ChannelCredentials, onSession: (session: ClientHttp2Session, socket: Socket) => void) {
    super()
    this.#inner = inner
    this.#onSession = onSession
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure()
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(...args: Parameters<CreateConnector>): SecureConnector {
    const connector = this.#inner._createSecureConnector(...args)
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
      connect: (socket) => {
        socket.on("error", () => {})
        return connector.connect(socket).then((result) => {
          // After the promises that wait for this, in the last of which grpc-js opens the session; before any input.
          process.nextTick(() => this.#found(result.socket))
          return result
        })
      }
    }
  }

  #found(socket: Socket): void {
    const session = sessionOf(socket)
    if (session !== undefined) this.#onSession(session, socket)
  }
}
