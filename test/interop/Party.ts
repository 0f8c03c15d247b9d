/** An implementation of gRPC that takes part: what its client can ask and how to start its server. */
import type { Effect, Scope } from "effect"
import type { Files } from "./certificates.ts"
import type { CaseName } from "./catalogue.ts"
import type { ProgramError } from "./Program.ts"
import type { Results } from "./Results.ts"

/** A running server, and what a client must trust to call it. */
export interface Address {
  readonly ports: ReadonlyArray<number>
  /** Where a server listens that takes few calls on a connection. */
  readonly scalingPort?: number | undefined
  readonly tls: Files | undefined
}

export interface Party {
  readonly name: string
  /** How to install it, if it is not there. */
  readonly missing: string | undefined
  /** The certificates its programs must have, if they cannot be given others. */
  readonly certificates: Files | undefined
  /** Cases its client has not got, and cases its server cannot serve, each with the footnote that says why. */
  readonly notAsked: Readonly<Partial<Record<CaseName, string>>>
  readonly notServed: Readonly<Partial<Record<CaseName, string>>>
  readonly serve: (tls: Files | undefined) => Effect.Effect<Address, ProgramError, Scope.Scope>
  readonly ask: (cases: ReadonlyArray<CaseName>, server: Address) => Effect.Effect<Results, ProgramError>
}

/** The name every certificate here is good for. */
export const serverName = "foo.test.google.fr"
