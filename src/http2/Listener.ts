/**
 * Where a server listens: a port of one host, of both families where the host is `localhost`, or a Unix socket.
 */
import { Effect } from "effect"
import type { AddressInfo, Server as NodeServer } from "node:net"
import { BindError } from "../server/Server.ts"
import * as ListenFailure from "../socket/ListenFailure.ts"

/** An address to listen at. */
export interface At {
  readonly host: string
  readonly port: number
  /** Of a Unix socket, instead of host and port. */
  readonly path?: string | undefined
}

/** The address as clients write it. */
export const format = ({ host, path, port }: At): string =>
  path === undefined ? `${host.includes(":") ? `[${host}]` : host}:${port}` : `unix:${path}`

/** Servers that listen, and the port they were given. */
export interface Listening<S> {
  readonly servers: ReadonlyArray<S>
  readonly port: number
}

const bind = (server: NodeServer, at: At): Effect.Effect<number, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const failed = (error: Error) => resume(Effect.fail(error))
    server.once("error", failed)
    server.listen(at.path === undefined ? { host: at.host, port: at.port } : { path: at.path }, () => {
      server.off("error", failed)
      // Whatever goes wrong with one connection later is that connection's.
      server.on("error", () => {})
      resume(Effect.succeed(at.path === undefined ? (server.address() as AddressInfo).port : 0))
    })
  })

/** A machine without one of the families still has a `localhost`. */
const absent = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL"])

const families = ["127.0.0.1", "::1"]

/** How often a free port of one family may be taken in the other. */
const tries = 8

/** Both families on one port. */
const both = Effect.fnUntraced(function* <S extends NodeServer>(
  make: () => S,
  at: At
): Effect.fn.Return<Listening<S>, NodeJS.ErrnoException> {
  for (let tried = 1; ; tried++) {
    const servers: Array<S> = []
    let port = at.port
    let failure: NodeJS.ErrnoException | undefined
    for (const host of families) {
      const server = make()
      const bound = yield* Effect.result(bind(server, { host, port }))
      if (bound._tag === "Success") {
        port = bound.success
        servers.push(server)
      } else if (failure === undefined || absent.has(failure.code ?? "")) failure = bound.failure
    }
    if (servers.length > 0 && (failure === undefined || absent.has(failure.code ?? ""))) return { servers, port }
    for (const server of servers) server.close()
    if (at.port !== 0 || tried === tries || failure?.code !== "EADDRINUSE") return yield* Effect.fail(failure!)
  }
})

/** Makes servers and has them listen. */
export const listen = <S extends NodeServer>(make: () => S, at: At): Effect.Effect<Listening<S>, BindError> => {
  const listening =
    at.path === undefined && at.host === "localhost"
      ? both(make, at)
      : Effect.suspend(() => {
          const server = make()
          return Effect.map(bind(server, at), (port) => ({ servers: [server], port }))
        })
  return Effect.mapError(
    listening,
    ({ message }) => new BindError({ address: format(at), problem: ListenFailure.explain(message) })
  )
}
