/**
 * Whose defects are in the log already.
 *
 * A server logs a defect that a call ended with, because its caller never learns of it. A logger in front of the handler may
 * have done so, in a line that says more. Neither knows the other, so the call is remembered here.
 */
import type { Call } from "./Call.ts"

const reported = new WeakSet<Call>()

/** The defects of this call have been logged. */
export const add = (call: Call): void => void reported.add(call)

/** Whether the defects of this call have been logged. */
export const has = (call: Call): boolean => reported.has(call)
