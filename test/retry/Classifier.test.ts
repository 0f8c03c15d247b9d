import { assert, describe, it } from "@effect/vitest"
import { Data } from "effect"
import { PickError, Retry, RpcError } from "trunkline"

const unavailable = (message: string, facts?: RpcError.Facts) => RpcError.make("UNAVAILABLE", message, facts)
const coded = (code: string) => Object.assign(new Error("connecting failed"), { code })

const noPeers = (...causes: ReadonlyArray<string | undefined>) => {
  const report = new PickError.NoPeerReady({
    target: "dns:///greeter:50051",
    peers: causes.map((cause, i) => ({ peer: `10.0.0.${i}:1`, state: "Down", cause })),
    waitedMillis: 0,
    discovery: undefined
  })
  return unavailable(report.message, { cause: report })
}

class TokenFailed extends Data.TaggedError("TokenFailed")<{ readonly cause: unknown }> {}

describe("isPermanent", () => {
  it.each([
    "self-signed certificate",
    "self signed certificate in certificate chain",
    "unable to verify the first certificate",
    "unable to get local issuer certificate",
    "certificate has expired",
    "certificate is not yet valid",
    "certificate revoked",
    "unsuitable certificate purpose",
    "Hostname/IP does not match certificate's altnames: Host: a. is not in the cert's altnames: DNS:b",
    "x509: certificate signed by unknown authority",
    "write EPROTO 80:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../ssl/rec.c:1600:",
    "80:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../ssl/rec.c:1605:",
    "80:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:../ssl/rec.c:1605:",
    "No connection established. Last error: Error: self-signed certificate. Resolution note: ",
    "token request failed: invalid_grant"
  ])("%s", (text) => {
    assert.isTrue(Retry.isPermanent(unavailable(text)))
    assert.isFalse(Retry.isPermanent(unavailable(text, { origin: "remote" })), "a server's text")
    assert.isTrue(Retry.isPermanent(unavailable("connecting failed", { cause: new Error(text) })), "a cause")
    assert.isTrue(Retry.isPermanent(noPeers(text, text)), "every peer")
    assert.isFalse(Retry.isPermanent(noPeers(text, "connect ECONNREFUSED 10.0.0.1:1")), "one of two peers")
    assert.isFalse(Retry.isPermanent(noPeers(text, undefined)), "a peer of which nothing is known")
  })

  it.each([
    "CERT_HAS_EXPIRED",
    "CERT_NOT_YET_VALID",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "HOSTNAME_MISMATCH"
  ])("the code %s of a cause", (code) => {
    assert.isTrue(Retry.isPermanent(unavailable("x", { cause: coded(code) })))
    const deep = new Error("outer", { cause: new Error("inner", { cause: coded(code) }) })
    assert.isTrue(Retry.isPermanent(unavailable("x", { cause: deep })))
    const some = new AggregateError([coded(code), coded("ECONNREFUSED")])
    assert.isFalse(Retry.isPermanent(unavailable("x", { cause: some })), "one of two addresses")
    assert.isTrue(Retry.isPermanent(unavailable("x", { cause: new AggregateError([coded(code), coded(code)]) })))
  })

  it.each<[string, RpcError.RpcError]>([
    ["a refused connection", unavailable("connect ECONNREFUSED 10.0.0.1:50051")],
    ["a reset connection", unavailable("read ECONNRESET", { cause: coded("ECONNRESET") })],
    ["a name that is not there yet", unavailable("x", { cause: coded("ENOTFOUND") })],
    ["no peers at all", noPeers()],
    ["a connection lost", unavailable("connection lost: Call cancelled")],
    ["another code", RpcError.make("INTERNAL", "certificate has expired")],
    ["a service about certificates", unavailable("the certificate service is down")],
    ["causes in a circle", unavailable("x", { cause: Object.assign(coded("A"), { get cause() { return this } }) })], // oxfmt-ignore
    ["a cause that is no object", unavailable("x", { cause: 7 })]
  ])("not %s", (_name, error) => assert.isFalse(Retry.isPermanent(error)))

  it("a token that was refused", () => {
    const refused = new TokenFailed({ cause: RpcError.make("UNAUTHENTICATED", "who are you") })
    assert.isTrue(Retry.isPermanent(unavailable("no token", { cause: refused })))
    const down = new TokenFailed({ cause: RpcError.make("UNAVAILABLE", "later") })
    assert.isFalse(Retry.isPermanent(unavailable("no token", { cause: down })))
  })

  it("an error that a caller marked is not, unless it is final", () => {
    const expired = Retry.retriable(unavailable("certificate has expired"), {})
    assert.isFalse(Retry.isPermanent(expired))
    assert.isTrue(Retry.isPermanent(RpcError.annotate(expired, { stopped: "budget" })))
  })
})

describe("isFinal", () => {
  it.each<[RpcError.Stopped | undefined, boolean]>([
    ["budget", true],
    ["pushback", true],
    ["not_retryable", false],
    ["not_idempotent", false],
    ["attempts", false],
    ["deadline", false],
    ["committed", false],
    [undefined, false]
  ])("%s: %s", (stopped, expected) => {
    assert.strictEqual(Retry.isFinal(unavailable("x", { stopped, origin: "remote" })), expected)
    assert.strictEqual(Retry.isPermanent(unavailable("x", { stopped, origin: "remote" })), expected)
  })
})

describe("isTransientInternal", () => {
  it.each<[string, boolean]>([
    [`transport: received the unexpected content-type "text/html; charset=UTF-8"`, true],
    [
      `unexpected HTTP status code received from server: 502; transport: received unexpected content-type "text/html"`,
      true
    ],
    ["unexpected EOF", true],
    ["stream terminated by RST_STREAM with error code: INTERNAL_ERROR", true],
    ["Received RST_STREAM with code 2 (Internal server error)", true],
    ["Received RST_STREAM with code 0 (Call ended without gRPC status)", false],
    [`transport: received the unexpected content-type "application/json"`, false],
    ["nil pointer dereference", false]
  ])("%s: %s", (text, expected) => {
    assert.strictEqual(Retry.isTransientInternal(RpcError.make("INTERNAL", text)), expected)
    assert.isFalse(Retry.isTransientInternal(RpcError.make("UNKNOWN", text)))
  })
})
