/**
 * Keys and certificates, as adapters take them: PEM, as text or as its bytes.
 *
 * What a client trusts is one rule for every adapter. With `ca`: what it holds, and nothing else. Without it: the roots
 * that come with Node, or in their place those of the file that `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names, and those of the
 * file that `NODE_EXTRA_CA_CERTS` names.
 *
 * The certificate must be for the name the server is known by: the endpoint's authority, without its port. Nothing else
 * follows from that name; the socket goes to the endpoint's address.
 */

/**
 * One or more certificates, or a key, in PEM.
 *
 * @category models
 * @since 0.1.0
 */
export type Pem = string | Uint8Array

/**
 * The certificate a server has shown, its fields named as Node names them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerCertificate {
  /** Who it is for, by the short names of X.509: `CN`, `O` and so on. */
  readonly subject: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** Its names, such as `DNS:localhost, IP Address:127.0.0.1`. */
  readonly subjectaltname?: string | undefined
  readonly valid_from: string
  readonly valid_to: string
  /** SHA-256 of the whole certificate, as hexadecimal bytes with colons between. */
  readonly fingerprint256: string
  /** The certificate itself, in DER. */
  readonly raw: Uint8Array
}

/**
 * What a client trusts and who it is. With `key` and `cert` the client shows a certificate of its own (mutual TLS).
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientTls {
  /** The authorities that are trusted, in place of the default ones. */
  readonly ca?: Pem | undefined
  /** The client's private key, without passphrase. */
  readonly key?: Pem | undefined
  /** The client's certificate, followed by those between it and its authority. */
  readonly cert?: Pem | undefined
  /**
   * Whether a certificate is the server's, in place of the check that it is for the server's name. Returns what is wrong
   * with it. Certificates that no trusted authority vouches for never come here.
   */
  readonly checkServerIdentity?: ((name: string, certificate: ServerCertificate) => Error | undefined) | undefined
}

/**
 * The server's key and certificate. With `clientCa` clients must present a certificate it has signed (mutual TLS).
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerTls {
  readonly key: Pem
  /** The server's certificate, followed by those between it and its authority. */
  readonly cert: Pem
  readonly clientCa?: Pem | undefined
}

/** The name an authority holds: without its port, and without an IPv6 address' brackets and zone. @internal */
export const nameOf = (authority: string): string => {
  const bracketed = /^\[([^\]%]*)[^\]]*\](?::\d*)?$/.exec(authority)
  if (bracketed !== null) return bracketed[1]!
  // An IPv6 address that nobody put in brackets has no port.
  return /:.*:/.test(authority) ? authority.replace(/%.*$/, "") : authority.replace(/:\d*$/, "")
}
