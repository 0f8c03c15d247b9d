/**
 * The names of what is measured of the connections of channel pools.
 *
 * What is between extremes is two series, labelled `least` and `most`: the bounds within which a number has moved since
 * that series was read the last time.
 */
import { counter, few, gauge, histogram, latencies } from "../telemetry/Instrument.ts"

type Target = "grpc.target"
type Extreme = Target | "trunkline.extreme"

/** Channels that calls can go to. @category channel pools @since 0.1.0 */
export const channels = gauge<Target>("trunkline.channel_pool.channels", "{channel}", "Channels that calls can go to")
/** The most channels there may be. @category channel pools @since 0.1.0 */
export const channelsAllowed = gauge<Target>(
  "trunkline.channel_pool.channels_allowed",
  "{channel}",
  "The most channels there may be"
)
/** The least and the most channels there were. @category channel pools @since 0.1.0 */
export const channelsBetween = gauge<Extreme>(
  "trunkline.channel_pool.channels_between",
  "{channel}",
  "The least and the most channels there were"
)
/** The least and the most channels that were connected. @category channel pools @since 0.1.0 */
export const readyBetween = gauge<Extreme>(
  "trunkline.channel_pool.ready_between",
  "{channel}",
  "The least and the most channels that were connected"
)
/** The least and the most calls that were under way on one channel. @category channel pools @since 0.1.0 */
export const channelLoadBetween = gauge<Extreme>(
  "trunkline.channel_pool.channel_load_between",
  "{call}",
  "The least and the most calls that were under way on one channel"
)
/** The least and the most calls that were under way on all channels. @category channel pools @since 0.1.0 */
export const loadBetween = gauge<Extreme>(
  "trunkline.channel_pool.load_between",
  "{call}",
  "The least and the most calls that were under way on all channels"
)
/** The fewest and the most calls that were sent on one channel. @category channel pools @since 0.1.0 */
export const channelCallsBetween = gauge<Extreme>(
  "trunkline.channel_pool.channel_calls_between",
  "{call}",
  "The fewest and the most calls that were sent on one channel"
)
/** Keys of sessions that are bound to a channel. @category channel pools @since 0.1.0 */
export const channelKeys = gauge<Target>(
  "trunkline.channel_pool.keys",
  "{key}",
  "Keys of sessions that are bound to a channel"
)
/** The fewest and the most keys that were bound to one channel. @category channel pools @since 0.1.0 */
export const channelKeysBetween = gauge<Extreme>(
  "trunkline.channel_pool.channel_keys_between",
  "{key}",
  "The fewest and the most keys that were bound to one channel"
)
/** Connections of channels that became ready. @category channel pools @since 0.1.0 */
export const channelConnects = counter<Target>(
  "trunkline.channel_pool.connects",
  "{connection}",
  "Connections of channels that became ready"
)
/** Connections of channels that were lost. @category channel pools @since 0.1.0 */
export const channelDisconnects = counter<Target>(
  "trunkline.channel_pool.disconnects",
  "{connection}",
  "Connections of channels that were lost"
)
/** How long channels in use were without a connection. @category channel pools @since 0.1.0 */
export const channelConnectDuration = histogram<Target>(
  "trunkline.channel_pool.connect_duration",
  "s",
  "How long channels in use were without a connection",
  latencies
)
/** Calls on channels that have ended, well or not. @category channel pools @since 0.1.0 */
export const channelCalls = counter<Target | "trunkline.result">(
  "trunkline.channel_pool.calls",
  "{call}",
  "Calls on channels that have ended, well or not"
)
/** Calls of keys whose channel was not ready, and whether another took them. @category channel pools @since 0.1.0 */
export const channelFallbacks = counter<Target | "trunkline.result">(
  "trunkline.channel_pool.fallbacks",
  "{call}",
  "Calls of keys whose channel was not ready, and whether another took them"
)
/** Channels added because the load wanted them, and taken away. @category channel pools @since 0.1.0 */
export const channelsScaled = counter<Target | "trunkline.direction">(
  "trunkline.channel_pool.scaled",
  "{channel}",
  "Channels added because the load wanted them, and taken away"
)
/** Channels that did not get ready to be used. @category channel pools @since 0.1.0 */
export const primeFailures = counter<Target>(
  "trunkline.channel_pool.prime_failures",
  "{channel}",
  "Channels that did not get ready to be used"
)
/** Channels that did not answer any more. @category channel pools @since 0.1.0 */
export const silences = counter<Target>(
  "trunkline.channel_pool.silences",
  "{channel}",
  "Channels that did not answer any more"
)
/** How long nothing was heard on a channel before that was noticed. @category channel pools @since 0.1.0 */
export const silenceDuration = histogram<Target>(
  "trunkline.channel_pool.silence_duration",
  "s",
  "How long nothing was heard on a channel before that was noticed",
  latencies
)
/** Calls that ended at their deadline before it was noticed that a channel does not answer. @category channel pools @since 0.1.0 */
export const silentCalls = histogram<Target>(
  "trunkline.channel_pool.silent_calls",
  "{call}",
  "Calls that ended at their deadline before it was noticed that a channel does not answer",
  [...few, 10, 20, 50, 100]
)
