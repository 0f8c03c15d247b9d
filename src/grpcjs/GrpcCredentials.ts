/**
 * How a grpc-js channel gets from a TCP connection to one that HTTP/2 can begin on.
 *
 * grpc-js opens the TCP connection and hands it over; proxy and TLS are then done by the rules that every adapter shares,
 * and not by grpc-js's own, which forget why a proxy refused and take the names of hosts for where to connect.
 */
import * as grpc from "@grpc/grpc-js"
import { Result } from "effect"
import type * as net from "node:net"
import { upgrade } from "../socket/Upgrade.ts"
import { explain, problemOf, type Way } from "../socket/Way.ts"

/** What grpc-js puts around the reason it could not connect. */
const wrapping = /^No connection established\. Last error: (?:Error: )?(.*?)(?:\. Resolution note: .*)?$/s

/** What it says of a connection that ended without an error, and the time it adds. */
const hungUp = /^(Failed to connect|Error: Socket closed|Socket closed)?$/

/** Proxy and TLS of one channel. */
export class GrpcCredentials extends grpc.ChannelCredentials {
  readonly #way: Way
  readonly #open = new Set<net.Socket>()
  /** How far the last attempt came, and what is known of its end. */
  #step: "connect" | "settle" = "connect"
  #problem: string | undefined

  constructor(way: Way) {
    super()
    this.#way = way
  }

  override _isSecure(): boolean {
    return this.#way.identity !== undefined
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(
    ...[, , callCredentials = grpc.CallCredentials.createEmpty()]: Parameters<
      grpc.ChannelCredentials["_createSecureConnector"]
    >
  ): ReturnType<grpc.ChannelCredentials["_createSecureConnector"]> {
    return {
      // Asked before there is a socket.
      waitForReady: () => {
        this.#step = "connect"
        this.#problem = problemOf(this.#way)
        return this.#problem === undefined ? Promise.resolve() : Promise.reject(new Error(this.#problem))
      },
      connect: (socket) => this.#upgrade(socket),
      getCallCredentials: () => callCredentials,
      // grpc-js forgets the socket of an attempt that is given up.
      destroy: () => this.#open.forEach((socket) => socket.destroy())
    }
  }

  #upgrade(socket: net.Socket): Promise<{ socket: net.Socket; secure: boolean }> {
    this.#open.add(socket.on("error", () => {}))
    return new Promise((resolve, reject) =>
      upgrade(socket, this.#way, (opened) => {
        this.#open.delete(socket)
        if (Result.isFailure(opened)) return reject(new Error((this.#problem = opened.failure)))
        this.#step = "settle"
        resolve({ socket: opened.success, secure: this._isSecure() })
      })
    )
  }

  /** What a failed channel says of itself, in words that help. */
  explain(details: string): string {
    if (this.#problem !== undefined) return this.#problem
    const message = (wrapping.exec(details)?.[1] ?? details).replace(/ \(\d{4}-[\dT:.-]+Z\)$/, "")
    const unresolved = message.startsWith("Name resolution failed")
    const error = Object.assign(new Error(hungUp.test(message) ? "" : message), unresolved && { code: "ENOTFOUND" })
    return explain(this.#way, this.#step, error)
  }
}
