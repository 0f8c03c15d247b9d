/**
 * Whether keys and certificates can be used, and if not, which one and why.
 *
 * OpenSSL says `no start line` and skips what it does not understand in a list of authorities. So each set is read here
 * first; a secure context is only made of one in which every part is whole and the key belongs to the certificate.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import * as tls from "node:tls"
import type { ClientTls, Pem, ServerTls } from "../transport/Tls.ts"

/** A set that cannot be used. The message names the part. */
export class PemError extends Error {}

/** As text, in which files that were put together without a line break are apart. */
const text = (pem: Pem): string =>
  (typeof pem === "string" ? pem : Buffer.from(pem).toString("latin1")).replace(/-----(?=-----BEGIN )/g, "-----\n")

const blocks = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g

/** The certificates, of which there is at least one. */
const certificatesOf = (pem: Pem, field: string): ReadonlyArray<X509Certificate> => {
  const all = text(pem)
  const found = all.match(blocks) ?? []
  const begun = all.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g)?.length ?? 0
  if (begun === 0) {
    throw new PemError(`\`${field}\` holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----`)
  }
  if (begun !== found.length) throw new PemError(`\`${field}\` ends within a certificate: is the file whole?`)
  return found.map((block) => {
    try {
      return new X509Certificate(block)
    } catch {
      throw new PemError(`\`${field}\` holds a certificate that cannot be read: is the file whole?`)
    }
  })
}

const keyOf = (pem: Pem, field: string): KeyObject => {
  const all = text(pem)
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(all)) {
    throw new PemError(`\`${field}\` holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----`)
  }
  if (/ENCRYPTED/.test(all)) {
    throw new PemError(`\`${field}\` is encrypted: give the key without its passphrase, as \`openssl pkey\` writes it`)
  }
  try {
    return createPrivateKey(all)
  } catch {
    throw new PemError(`\`${field}\` holds a private key that cannot be read: is the file whole?`)
  }
}

/** Checks that a key and a certificate belong together. */
const checkPair = (key: Pem, cert: Pem): void => {
  const [own] = certificatesOf(cert, "tls.cert")
  if (!own!.checkPrivateKey(keyOf(key, "tls.key"))) {
    throw new PemError("`tls.key` is not the key of the first certificate in `tls.cert`")
  }
}

const buffer = (pem: Pem | undefined): Buffer | undefined =>
  pem === undefined ? undefined : Buffer.from(text(pem), "latin1")

const make = (options: tls.SecureContextOptions): tls.SecureContext => {
  try {
    return tls.createSecureContext(options)
  } catch (error) {
    throw new PemError(`TLS refuses these keys and certificates: ${error instanceof Error ? error.message : error}`)
  }
}

const rootsVariable = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"

/** The file a variable names; `undefined` if it names none. */
const fileOf = (variable: string): string | undefined => {
  const path = process.env[variable]
  if (path === undefined || path === "") return undefined
  try {
    return readFileSync(path, "latin1")
  } catch {
    throw new PemError(`the file ${path} that ${variable} names cannot be read`)
  }
}

/** The roots of who names none; `undefined` leaves both to Node: its own, and those of NODE_EXTRA_CA_CERTS. */
const defaultRoots = (): Pem | undefined => {
  const roots = fileOf(rootsVariable)
  if (roots === undefined) return undefined
  if (!roots.includes("CERTIFICATE-----"))
    throw new PemError(`the file that ${rootsVariable} names holds no certificate`)
  return `${roots}\n${fileOf("NODE_EXTRA_CA_CERTS") ?? ""}`
}

/** What a client trusts and shows. Throws a `PemError`. */
export const clientContext = ({ ca, cert, key }: ClientTls): tls.SecureContext => {
  if (key !== undefined && cert === undefined) throw new PemError("`tls.key` is given without `tls.cert`")
  if (cert !== undefined && key === undefined) throw new PemError("`tls.cert` is given without `tls.key`")
  if (key !== undefined && cert !== undefined) checkPair(key, cert)
  if (ca !== undefined) certificatesOf(ca, "tls.ca")
  return make({ ca: buffer(ca ?? defaultRoots()), key: buffer(key), cert: buffer(cert) })
}

/** Keys and certificates of a server, as Node takes them. */
export interface ServerPem {
  readonly key: Buffer
  readonly cert: Buffer
  readonly ca: Buffer | undefined
}

/** What a server shows and trusts, when it can be used. Throws a `PemError`. */
export const serverPem = ({ cert, clientCa, key }: ServerTls): ServerPem => {
  checkPair(key, cert)
  if (clientCa !== undefined) certificatesOf(clientCa, "tls.clientCa")
  const set = { key: buffer(key)!, cert: buffer(cert)!, ca: buffer(clientCa) }
  make(set)
  return set
}
