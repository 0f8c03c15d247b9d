/**
 * What a pool counts of itself.
 */

/**
 * Counts of a pool's life, from 0.
 *
 * @category models
 * @since 0.1.0
 */
export class PoolStats {
  /** Pickers made. */
  rebuilds = 0
  /** Attempts sent to a peer whatever signals said of it. */
  panicked = 0
  /** Attempts that were the one call of a peer on probation. */
  probes = 0
}
