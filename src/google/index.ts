/**
 * What Google's APIs add to gRPC.
 */

// Long lists and long work.
export * as Operation from "./Operation.ts"
export * as Paging from "./Paging.ts"

// Request headers.
export * as ApiHeaders from "./ApiHeaders.ts"

// Configuration files of Google's clients.
export * as ApiConfig from "./ApiConfig.ts"
export * as GapicConfig from "./GapicConfig.ts"
