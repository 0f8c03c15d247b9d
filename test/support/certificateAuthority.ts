/** An authority of one test's own, and certificates it vouches for. */
import { Effect } from "effect"
import { generate } from "selfsigned"

/** A key and a certificate, in PEM. */
export interface Pair {
  readonly key: string
  readonly cert: string
}

/** What a certificate is for, and until when. */
export interface Subject {
  readonly name: string
  readonly ips?: ReadonlyArray<string>
  readonly until?: Date
}

const make = ({ ips = [], name, until }: Subject, issuer: Pair | undefined, isAuthority: boolean) =>
  Effect.promise(() =>
    generate([{ name: "commonName", value: name }], {
      keyType: "ec",
      algorithm: "sha256",
      ...(until === undefined ? undefined : { notBeforeDate: new Date(until.getTime() - 1000), notAfterDate: until }),
      ...(issuer === undefined ? undefined : { ca: issuer }),
      extensions: [
        { name: "basicConstraints", cA: isAuthority, critical: true },
        {
          name: "subjectAltName",
          altNames: [{ type: 2, value: name }, ...ips.map((ip) => ({ type: 7 as const, ip }))]
        }
      ]
    })
  ).pipe(Effect.map((made): Pair => ({ key: made.private, cert: made.cert })))

let roots = 0

/** An authority nobody vouches for, with a name of its own. */
export const root = Effect.suspend(() => make({ name: `root${++roots}.test` }, undefined, true))

/** An authority between a root and those it vouches for. */
export const between = (issuer: Pair) => make({ name: "between.test" }, issuer, true)

/** The certificate of a server or a client. */
export const issued = (issuer: Pair, subject: Subject) => make(subject, issuer, false)
