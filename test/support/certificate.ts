/** Certificates made for one test. */
import { Effect } from "effect"
import { generate } from "selfsigned"

const pem = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A key and a self-signed certificate for one DNS name. */
export const selfSigned = (name: string) =>
  Effect.promise(() =>
    generate([{ name: "commonName", value: name }], {
      keyType: "ec",
      algorithm: "sha256",
      extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: name }] }]
    })
  ).pipe(Effect.map((made) => ({ key: pem(made.private), cert: pem(made.cert) })))
