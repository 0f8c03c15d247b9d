/** A client and a server that are tried with each other. */
import { Effect } from "effect"
import { type CaseName, caseNames } from "./catalogue.ts"
import type { Files } from "./certificates.ts"
import type { Party } from "./Party.ts"
import type { ProgramError } from "./Program.ts"
import type { Results } from "./Results.ts"

export interface Pair {
  readonly name: string
  /** How to install what is not there. */
  readonly missing: string | undefined
  /** Why the pair cannot have a case. */
  readonly without: (name: CaseName) => string | undefined
  /** Runs every case the pair can have, with these certificates or in plain text. */
  readonly run: (tls: Files | undefined) => Effect.Effect<Results, ProgramError>
}

export const make = (client: Party, server: Party): Pair => {
  const without = (name: CaseName): string | undefined => client.notAsked[name] ?? server.notServed[name]
  const cases = caseNames.filter((name) => without(name) === undefined)
  return {
    name: `${client.name} → ${server.name}`,
    missing: client.missing ?? server.missing,
    without,
    run: (tls) => {
      const files = tls && (client.certificates ?? server.certificates ?? tls)
      return Effect.scoped(Effect.flatMap(server.serve(files), (address) => client.ask(cases, address)))
    }
  }
}
