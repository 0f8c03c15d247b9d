/**
 * Load as the number of calls under way.
 *
 * Latency is in it: a slow peer keeps its calls longer. Exact, without memory, and blind to a peer that fails fast.
 */
import type { Load } from "./Picker.ts"

/**
 * Counts pending calls.
 *
 * @category loads
 * @since 0.1.0
 */
export const make = (): Load => ({
  cost: (stats) => stats.pending,
  observe: () => {}
})
