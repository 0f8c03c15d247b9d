/**
 * What to test with: a network in memory, on the clock of the test, and the laws of pickers.
 */
export * as PickerLaws from "./PickerLaws.ts"
export * as TestNetwork from "./TestNetwork.ts"
export * as Simulation from "./Simulation.ts"
