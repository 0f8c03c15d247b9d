/**
 * What to test with: a network in memory, on the clock of the test.
 */
export * as TestNetwork from "./TestNetwork.ts"
