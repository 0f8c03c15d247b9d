/** What is said of failures that no test can cause at will. */
import { assert, it } from "@effect/vitest"
import * as ConnectFailure from "../../src/transport/ConnectFailure.ts"

const aim: ConnectFailure.Aim = {
  where: "a.test:1",
  host: "a.test",
  isUnix: false,
  name: "a.test",
  secure: true,
  identified: false,
  ownAuthorities: false,
  proxy: undefined
}

const alert = (text: string) => `80:error:0A00045C:SSL routines:ssl3_read_bytes:${text}:../ssl/rec.c:1605:`

it.each<[ConnectFailure.Step, Partial<ConnectFailure.Aim>, ConnectFailure.Said, string]>([
  [
    "connect",
    {},
    { code: "ETIMEDOUT", message: "connect ETIMEDOUT 10.0.0.1:1" },
    "no answer from a.test:1 (ETIMEDOUT): is the address right, or does a firewall drop what is sent there?"
  ],
  [
    "connect",
    {},
    { message: "Error: connect EHOSTUNREACH 10.0.0.1:1" },
    "there is no way to a.test:1 (EHOSTUNREACH): is the address right, and the network up?"
  ],
  [
    "connect",
    {},
    { code: "EAI_AGAIN", message: "getaddrinfo EAI_AGAIN a.test" },
    "the host a.test cannot be looked up (EAI_AGAIN): does the name server answer?"
  ],
  [
    "settle",
    {},
    { message: alert("tlsv13 alert certificate required") },
    "a.test:1 demands a client certificate (alert certificate required): give one as `tls.cert` and `tls.key`"
  ],
  [
    "settle",
    { identified: true },
    { message: alert("tlsv1 alert unknown ca") },
    "a.test:1 refuses the client's certificate (alert unknown ca): is `tls.cert` from an authority that the server trusts?"
  ],
  [
    "secure",
    {},
    { message: alert("sslv3 alert bad certificate") },
    "a.test:1 demands a client certificate (alert bad certificate): give one as `tls.cert` and `tls.key`"
  ],
  [
    "secure",
    {},
    { message: alert("tlsv1 alert protocol version") },
    "TLS with a.test:1 failed: tlsv1 alert protocol version"
  ],
  [
    "secure",
    {},
    { code: "CERT_NOT_YET_VALID", message: "certificate is not yet valid" },
    "the certificate of a.test:1 is not valid yet (CERT_NOT_YET_VALID): is this clock right?"
  ]
])("%s %o %o", (step, change, said, expected) =>
  assert.strictEqual(ConnectFailure.explain({ ...aim, ...change }, step, said), expected)
)
