/**
 * Keys and certificates, as adapters take them: bytes in PEM.
 */

/**
 * What a client trusts and who it is. Without `ca` the system's roots are trusted; with `key` and `cert` the client shows
 * a certificate of its own (mutual TLS).
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientTls {
  readonly ca?: Uint8Array | undefined
  readonly key?: Uint8Array | undefined
  readonly cert?: Uint8Array | undefined
}

/**
 * The server's key and certificate. With `clientCa` clients must present a certificate it has signed (mutual TLS).
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerTls {
  readonly key: Uint8Array
  readonly cert: Uint8Array
  readonly clientCa?: Uint8Array | undefined
}
