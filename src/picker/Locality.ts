/**
 * Calls stay in their own zone while it can carry them.
 *
 * Traffic between zones is slow and costs money, so a client prefers the peers of its own. When too many of those are not
 * ready, what the rest cannot carry goes to the other zones.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware
 */
import type { PickerPolicy } from "./Picker.ts"
import * as Spill from "./Spill.ts"

/**
 * Prefers the peers whose endpoints are in a locality, and spills over to the others as the share of its ready peers,
 * times `overprovision` (default 1.4), falls below 1.
 *
 * @example
 * import { Locality, PowerOfTwo } from "trunkline"
 *
 * const policy = Locality.prefer(PowerOfTwo.make(), "eu-west-1a")
 *
 * @category combinators
 * @since 0.1.0
 */
export const prefer = (self: PickerPolicy, locality: string, options?: Spill.Options): PickerPolicy =>
  Spill.make(self, (set, peer) => (set.endpointOf(peer).locality === locality ? 0 : 1), options)
