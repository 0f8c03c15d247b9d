/**
 * A page that shows what a program's backends do, live.
 */
export * as DebugPage from "./DebugPage.ts"
export * as NodeDebugPage from "./NodeDebugPage.ts"
