/**
 * Who is measured. To add one, write it in a file of `contenders/` and list it in `others`.
 */
import type { Contender } from "./Contender.ts"
import { balanced, balancedOverHttp2 } from "./contenders/Balanced.ts"
import { grpcJsClient } from "./contenders/GrpcJsClient.ts"
import { oneConnection } from "./contenders/OneConnection.ts"

/** What everybody is compared with. */
export const baseline: Contender = grpcJsClient

/** The one whose ratio is a promise, which `--check` holds. */
export const promised: Contender = balanced

export const all: ReadonlyArray<Contender> = [baseline, promised, balancedOverHttp2, oneConnection]
