/**
 * Load as the number of calls under way.
 *
 * Latency is in it: a slow peer keeps its calls longer. Exact, without memory, and blind to a peer that fails fast.
 */
import type { Load, LoadPolicy } from "./Picker.ts"

/**
 * The pending calls of a peer. The peer counts them itself, so nothing is remembered here.
 *
 * @category constants
 * @since 0.1.0
 */
export const pending: Load = {
  cost: (stats) => stats.pending,
  observe: () => {}
}

const policy: LoadPolicy = { make: () => pending }

/**
 * Counts pending calls.
 *
 * @category loads
 * @since 0.1.0
 */
export const make = (): LoadPolicy => policy
