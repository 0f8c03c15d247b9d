/**
 * What Google's APIs add to gRPC.
 */

// Long lists and long work.
export * as Operation from "./Operation.ts"
export * as Paging from "./Paging.ts"

// What others have written down.
export * as ApiConfig from "./ApiConfig.ts"
export * as GapicConfig from "./GapicConfig.ts"
