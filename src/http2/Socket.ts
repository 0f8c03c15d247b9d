/**
 * The socket under an HTTP/2 connection: plain, or TLS that offers HTTP/2.
 */
import * as net from "node:net"
import * as tls from "node:tls"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { ClientTls } from "../transport/Tls.ts"

const hostOf = (authority: string): string => authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")

const pem = (bytes: Uint8Array | undefined): Buffer | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes)

/** Opens a socket to an endpoint that is known by an authority. Throws on keys and names TLS will not even look at. */
export const openSocket = ({ address }: Endpoint, authority: string, secure: ClientTls | undefined): net.Socket => {
  const where = address._tag === "Unix" ? { path: address.path } : { host: address.host, port: address.port }
  if (secure === undefined) return net.connect(where)
  const name = hostOf(authority)
  return tls.connect({
    ...where,
    ALPNProtocols: ["h2"],
    ca: pem(secure.ca),
    key: pem(secure.key),
    cert: pem(secure.cert),
    // The name that is asked for and that the certificate must have; an address cannot be asked for, only checked.
    ...(net.isIP(name) === 0 ? { servername: name } : { host: name, servername: "" })
  })
}
