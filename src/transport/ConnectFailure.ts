/**
 * Why a connection could not be opened, for the person who has to mend it.
 *
 * A socket says `ECONNREFUSED` or `wrong version number`. What helps is what was being done, where, and what is most likely
 * wrong, so that is what the cause of a peer that is down says, the same for every adapter. What the socket said is kept
 * in parentheses, to search for.
 */

/** What was being done when it failed: each step begins when the one before is through. */
export type Step = "connect" | "tunnel" | "secure" | "settle"

/** Where a connection was to go, and how. */
export interface Aim {
  /** The address, as people write it. */
  readonly where: string
  /** The host to look up; the path of a Unix socket. */
  readonly host: string
  readonly isUnix: boolean
  /** The name the server's certificate must have. */
  readonly name: string
  readonly secure: boolean
  /** Whether this side shows a certificate of its own. */
  readonly identified: boolean
  /** Whether the authorities that are trusted were named. */
  readonly ownAuthorities: boolean
  readonly proxy: { readonly where: string; readonly host: string; readonly source: string } | undefined
}

/** What the socket, TLS or the proxy said. */
export interface Said {
  readonly code?: string | undefined
  readonly message: string
  /** The names of a certificate that is for others. */
  readonly names?: string | undefined
}

/** The code of a system's error, which some only write into the text. */
const codeOf = ({ code, message }: Said): string => code ?? /\b(E[A-Z]{3,}|ENOTFOUND)\b/.exec(message)?.[1] ?? ""

/** What is left of an error's text without the names of OpenSSL's functions and files around it. */
const plain = (message: string): string => {
  const openssl = /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]*):/.exec(message.trim())
  return (openssl?.[1] ?? message).trim().replace(/[.:\s]+$/, "")
}

const isRunning = "is the server running, and is this its port?"

const connecting = (aim: Aim, said: Said): string => {
  const { isUnix, proxy } = aim
  const code = codeOf(said)
  const where = proxy === undefined ? aim.where : `proxy ${proxy.where} (from ${proxy.source})`
  const host = proxy?.host ?? aim.host
  switch (code) {
    case "ECONNREFUSED":
      return `connection refused by ${where} (${code}): ${
        proxy !== undefined ? "is the proxy running?" : isUnix ? "is the server running?" : isRunning
      }`
    case "ENOENT":
      return `there is no socket ${host} (${code}): is the server running, and is this its path?`
    case "ENOTFOUND":
      return `there is no host ${host} (${code}): is the name spelled right, and does DNS know it?`
    case "EAI_AGAIN":
      return `the host ${host} cannot be looked up (${code}): does the name server answer?`
    case "EACCES":
    case "EPERM":
      return `no permission to connect to ${where} (${code})`
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `there is no way to ${where} (${code}): is the address right, and the network up?`
    case "ETIMEDOUT":
      return `no answer from ${where} (${code}): is the address right, or does a firewall drop what is sent there?`
  }
  return `cannot connect to ${where}: ${plain(said.message) || code}`
}

const tunnelling = ({ proxy, where }: Aim, said: Said): string => {
  const by = `proxy ${proxy?.where} (from ${proxy?.source})`
  const status = /^\d{3}/.exec(said.message)?.[0]
  if (status === undefined) {
    return codeOf(said).startsWith("HPE_")
      ? `what ${by} answers is not HTTP: is it a proxy?`
      : `${by} hung up when asked to connect to ${where}: is it an HTTP proxy?`
  }
  const advice =
    status === "407"
      ? "are the user and the password in its URL right?"
      : status.startsWith("4")
        ? "does it let this host and port through?"
        : "can it reach the server?"
  return `${by} answered ${said.message} when asked to connect to ${where}: ${advice}`
}

/** What OpenSSL and Node say about a certificate that nobody who is trusted vouches for. */
const unknownAuthority =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE|INVALID_CA)$/

const certificateProblem = (aim: Aim, said: Said): string | undefined => {
  const { name, ownAuthorities, where } = aim
  const code = codeOf(said)
  const its = `the certificate of ${where}`
  if (unknownAuthority.test(code)) {
    const remedy = ownAuthorities
      ? "does `tls.ca` hold the authority that has signed it, and does the server send the certificates between?"
      : "give the authority that has signed it as `tls.ca`, or in NODE_EXTRA_CA_CERTS"
    const whose = code === "DEPTH_ZERO_SELF_SIGNED_CERT" ? "is self-signed and" : "is from an authority that is"
    return `${its} ${whose} not trusted here (${code}): ${remedy}`
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `${its} is not for ${JSON.stringify(name)}${said.names === undefined ? "" : `, but for ${said.names}`} (${code}): connect by a name it has, or set the endpoint's \`authority\` to one`
  }
  if (code === "CERT_HAS_EXPIRED")
    return `${its} has expired (${code}): the server needs a new one; is this clock right?`
  if (code === "CERT_NOT_YET_VALID") return `${its} is not valid yet (${code}): is this clock right?`
  return /^(CERT|ERR_TLS_CERT|CRL)_/.test(code) ? `${its} is refused: ${plain(said.message)} (${code})` : undefined
}

/** What the server's last word says of the certificate this side has shown, or has not. */
const refusal = ({ identified, where }: Aim, said: Said): string | undefined => {
  const alert =
    /alert ((?:no |bad |unsupported )?certificate(?: (?:required|revoked|expired|unknown))?|unknown ca|access denied)/.exec(
      said.message
    )?.[1]
  if (alert === undefined) return undefined
  return identified
    ? `${where} refuses the client's certificate (alert ${alert}): is \`tls.cert\` from an authority that the server trusts?`
    : `${where} demands a client certificate (alert ${alert}): give one as \`tls.cert\` and \`tls.key\``
}

const notTls =
  /wrong version number|packet length too long|http request|unknown protocol|record layer failure|invalid record/

const noHttp2 = (where: string): string =>
  `${where} speaks TLS, but not HTTP/2 (ALPN): it may be an HTTP/1 server; is this the port for gRPC?`

const securing = (aim: Aim, said: Said): string => {
  const { where } = aim
  const known = certificateProblem(aim, said) ?? refusal(aim, said)
  if (known !== undefined) return known
  if (said.message.includes("alert no application protocol")) return noHttp2(where)
  const message = plain(said.message)
  if (notTls.test(said.message)) {
    return `what ${where} answers is not TLS (${message}): the server may not speak TLS; connect without \`tls\`, or is this another port?`
  }
  if (codeOf(said) === "ECONNRESET" || message === "") {
    return `${where} hung up during the TLS handshake: the server may not speak TLS; connect without \`tls\`, or is this another port?`
  }
  return `TLS with ${where} failed: ${message}`
}

const settling = (aim: Aim, said: Said): string => {
  const { identified, secure, where } = aim
  if (said.code === "ALPN") return noHttp2(where)
  const known = refusal(aim, said)
  if (known !== undefined) return known
  const code = codeOf(said)
  if (code === "ERR_HTTP2_ERROR" || /protocol error/i.test(said.message)) {
    const instead = secure ? "" : ", or one that expects TLS (option `tls`)"
    return `what ${where} answers is not HTTP/2: it may be an HTTP/1 server${instead}`
  }
  const hint = secure
    ? identified
      ? "it may refuse the client's certificate"
      : "it may demand a client certificate (`tls.cert` and `tls.key`)"
    : "the server may expect TLS (option `tls`)"
  const hungUp = said.message === "" || code === "ECONNRESET" || code === "EPIPE"
  return hungUp
    ? `${where} hung up before it said a word of HTTP/2: ${hint}`
    : `${where} did not become an HTTP/2 connection (${plain(said.message)}): ${hint}`
}

/** Says it in one line. */
export const explain = (aim: Aim, step: Step, said: Said): string =>
  ({ connect: connecting, tunnel: tunnelling, secure: securing, settle: settling })[step](aim, said)
