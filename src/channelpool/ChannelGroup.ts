/**
 * The channels of one endpoint: picking, scaling, and their connectivity as one connection.
 *
 * A call is counted when its channel is picked, not when it starts, so a burst sees its own load. A high load wakes a fiber
 * that opens and primes further channels before calls can pick them. Another fiber checks periodically for idle channels:
 * it takes them out of use, and they close when their calls have ended and a grace period is over.
 */
import { type Clock, Effect, Exit, Latch, Option, type Random, Scope, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as StateRef from "../transport/StateRef.ts"
import { AffinityTable } from "../affinity/AffinityTable.ts"
import { Channel } from "./Channel.ts"
import { ChannelStats, type Recorder } from "./ChannelStats.ts"
import type { Settings } from "./ChannelPoolOptions.ts"
import { Draining } from "./Draining.ts"
import * as Penalty from "./Penalty.ts"
import * as Pick from "./ChannelPick.ts"
import * as Scaling from "./Scaling.ts"
import { UnresponsiveDetector } from "./UnresponsiveDetector.ts"
import * as ChannelPeer from "./ChannelPeer.ts"

/** The services and the scope that a group runs with. */
export interface Environment extends ChannelPeer.Environment {
  readonly clock: Clock.Clock
  readonly random: Random.Random
  /** Whether a key is held, and so must stay on its channel. */
  readonly isHeld: (key: string) => boolean
  readonly recorder: Recorder | undefined
}

const notHeld = (): boolean => false

/** The channels of one endpoint. */
export class ChannelGroup implements Pick.Candidates {
  readonly endpoint: Endpoint
  readonly settings: Settings
  readonly environment: Environment
  readonly penalty: Penalty.Settings
  readonly random: Random.Random
  readonly states: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  readonly keys: AffinityTable<Channel>
  /** The channels that calls can pick, the oldest first. Each change makes a new array. */
  active: ReadonlyArray<Channel> = []
  readonly draining: Draining
  /** Calls in flight on the active channels. */
  load = 0
  readonly stats: ChannelStats
  readonly #penalized = new Set<Channel>()
  readonly #growRequested = Latch.makeUnsafe(false)
  #scaling: Scaling.State = Scaling.initial
  #opening = 0
  #ready = 0
  #ids = 0
  #turn = 0

  constructor(endpoint: Endpoint, settings: Settings, environment: Environment) {
    this.endpoint = endpoint
    this.settings = settings
    this.environment = environment
    this.penalty = settings.penalty
    this.random = environment.random
    this.keys = new AffinityTable({ fallsBack: settings.fallsBack })
    this.stats = new ChannelStats(environment.recorder)
    this.draining = new Draining(settings.graceMillis, environment.scope)
  }

  /** How many of the active channels are connected. */
  get ready(): number {
    return this.#ready
  }

  get now(): number {
    return Deadline.nowUnsafe(this.environment.clock)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Picking
  // -------------------------------------------------------------------------------------------------------------------

  /** The channel of a call without a key. */
  pick(now: number): Channel | undefined {
    return Pick.powerOfTwo(this, now)
  }

  /** The next ready channel in turn. */
  roundRobin(): Channel | undefined {
    return Pick.roundRobin(this.active, this.#turn++)
  }

  /** The channel of the calls of a key. */
  channelOf(key: string, now: number): Channel | undefined {
    return this.keys.resolve(key, now, (except) => Pick.leastLoaded(this, now, except))
  }

  /** Counts a call that starts on a channel. */
  enter(channel: Channel, now: number): void {
    channel.enter()
    if (!channel.draining) this.load++
    this.stats.recordLoad(channel.load, this.load)
    if (this.#size >= this.settings.max || now < this.#scaling.coolUntil) return
    const selected = channel.load + Penalty.forScaling(channel.penalty, now)
    if (Scaling.isHigh(this.settings, selected, this.#sample(now))) this.#growRequested.openUnsafe()
  }

  /** Counts a call that has ended, and charges its channel for a failure of the connection. */
  leave(channel: Channel, charged: boolean, now: number): void {
    channel.leave()
    if (channel.draining) return
    this.load--
    this.stats.recordLoad(channel.load, this.load)
    if (!charged || !this.active.includes(channel)) return
    channel.penalty = Penalty.charge(channel.penalty, this.settings.penalty, now)
    this.#penalized.add(channel)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Scaling
  // -------------------------------------------------------------------------------------------------------------------

  get #size(): number {
    return this.active.length + this.#opening
  }

  #sample(now: number): Scaling.Sample {
    let { load } = this
    for (const channel of this.#penalized) {
      const points = Penalty.forScaling(channel.penalty, now)
      if (points === 0) this.#penalized.delete(channel)
      load += points
    }
    return { load, active: this.#ready, size: this.#size }
  }

  /** Adds channels for a high load: draining channels that still work first, then new ones. */
  readonly #grow = Effect.suspend(() => {
    const { now } = this
    const [state, add] = Scaling.grow(this.settings, this.#scaling, { ...this.#sample(now), now })
    this.#scaling = state
    if (add === 0) return Effect.void
    const restored = this.draining.restore(add)
    for (const channel of restored) this.#restore(channel)
    return Effect.forEach(Array.from({ length: add - restored.length }), () => this.#openChannel, {
      concurrency: "unbounded",
      discard: true
    })
  })

  #restore(channel: Channel): void {
    this.load += channel.load
    this.stats.totals.reused++
    this.stats.totals.added++
    this.#publish(channel)
  }

  #setActive(active: ReadonlyArray<Channel>): void {
    this.active = active
    this.#ready = active.filter((channel) => channel.isReady).length
    this.stats.recordSize(active.length, this.#ready)
  }

  #publish(channel: Channel): void {
    this.#setActive([...this.active, channel])
    this.stats.recordLoad(channel.load, this.load)
  }

  /** Opens and primes a peer, and counts it as opening meanwhile. */
  readonly #openPrimed: Effect.Effect<Option.Option<ChannelPeer.ChannelPeer>> = Effect.suspend(() => {
    this.#opening++
    return ChannelPeer.openPrimed(this.endpoint, this.settings, this.environment).pipe(
      Effect.tap((opened) => Effect.sync(() => void (Option.isNone(opened) && this.stats.totals.primeFailures++))),
      Effect.ensuring(Effect.sync(() => this.#opening--))
    )
  })

  /** Opens a channel, which calls can pick once it is primed. */
  readonly #openChannel = Effect.flatMap(
    Effect.suspend(() => this.#openPrimed),
    Option.match({
      onNone: () => Effect.void,
      onSome: (opened) =>
        Effect.suspend(() => {
          const channel = this.#makeChannel(opened)
          this.stats.totals.added++
          this.#publish(channel)
          return this.#supervise(channel, opened)
        })
    })
  )

  #makeChannel(opened: ChannelPeer.ChannelPeer): Channel {
    this.stats.totals.opened++
    const { unresponsive } = this.settings
    const detector = unresponsive === undefined ? undefined : new UnresponsiveDetector(unresponsive, this.now)
    return new Channel(++this.#ids, opened, detector)
  }

  /** Keeps a channel connected, and updates the connectivity of the group. */
  #supervise(channel: Channel, current: ChannelPeer.ChannelPeer): Effect.Effect<void> {
    let requestedAt = this.now
    let connected = false
    return Stream.runForEach(current.peer.changes, ({ state }) =>
      Effect.sync(() => {
        if (channel.current !== current) return
        const ready = channel.isReady
        if (ready && !connected) {
          this.stats.recordConnect(this.now - requestedAt)
        } else if (!ready && connected) {
          this.stats.totals.disconnects++
          requestedAt = this.now
          // A draining channel does not reconnect, so even a held key would wait here in vain.
          if (channel.draining) this.keys.release(channel, notHeld)
        }
        connected = ready
        const reconnects = !channel.draining && this.states.current()._tag !== "Idle"
        if (state === "Idle" && reconnects) current.peer.requestConnect()
        this.#refresh()
      })
    ).pipe(Effect.forkIn(current.scope), Effect.asVoid)
  }

  /** Drains the channels with the least to lose, if the load has been low for several checks. */
  readonly #shrink = Effect.suspend(() => {
    // A channel that is being opened carries no call yet, and may fail to open.
    const size = this.active.length
    const [state, remove] = Scaling.shrink(this.settings, this.#scaling, { active: this.#ready, load: this.load, size })
    this.#scaling = state
    const removed = this.active
      .toSorted((a, b) => Number(a.isReady) - Number(b.isReady) || a.load - b.load || a.keys - b.keys || a.id - b.id)
      .slice(0, remove)
    return Effect.forEach(removed, (channel) => this.#drain(channel), { discard: true })
  })

  /** Takes a channel out of use at once, with its load, its penalty and its keys. */
  #drain(channel: Channel): Effect.Effect<void> {
    this.#setActive(this.active.filter((other) => other !== channel))
    this.load -= channel.load
    channel.penalty = Penalty.none
    this.#penalized.delete(channel)
    this.keys.release(channel, channel.isReady ? this.environment.isHeld : notHeld)
    this.stats.totals.removed++
    return this.draining.begin(channel)
  }

  /** Replaces the peer of a channel that does not respond. Calls on the old connection go on. */
  replace(channel: Channel): Effect.Effect<void> {
    const { detector } = channel
    if (detector === undefined || channel.replacing || !this.active.includes(channel)) return Effect.void
    channel.replacing = true
    this.stats.recordUnresponsive(detector.millisSinceResponse(this.now), detector.timeouts)
    const exchange = (next: ChannelPeer.ChannelPeer) => {
      const previous = channel.current
      channel.current = next
      detector.recordReplacement(this.now)
      this.stats.totals.replaced++
      const close = Effect.andThen(
        previous.peer.connection?.drained ?? Effect.void,
        Scope.close(previous.scope, Exit.void)
      )
      return Effect.andThen(this.#supervise(channel, next), Effect.forkIn(close, this.environment.scope))
    }
    return this.#openPrimed.pipe(
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.void,
          // Closes the new peer if the channel was taken out of use meanwhile.
          onSome: (next) => (this.active.includes(channel) ? exchange(next) : Scope.close(next.scope, Exit.void))
        })
      ),
      // After a failed replacement, the next call that ends at its deadline may cause another.
      Effect.ensuring(Effect.sync(() => (channel.replacing = false))),
      Effect.forkIn(this.environment.scope),
      Effect.asVoid
    )
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Connectivity: the group as one connection
  // -------------------------------------------------------------------------------------------------------------------

  /** Opens the first channels, once. */
  readonly connect: Effect.Effect<void> = Effect.suspend(() => {
    if (this.states.current()._tag !== "Idle" || this.active.length > 0) return Effect.void
    this.states.set(Connectivity.Connecting())
    const open = Effect.flatMap(ChannelPeer.open(this.endpoint, this.settings, this.environment), (opened) => {
      const channel = this.#makeChannel(opened)
      this.#publish(channel)
      return this.#supervise(channel, opened)
    })
    return Effect.forEach(Array.from({ length: this.settings.initial }), () => open, { discard: true }).pipe(
      Effect.uninterruptible
    )
  })

  /** Ready while a channel is; TransientFailure when none could connect; Idle, to be closed, after all were lost. */
  #refresh(): void {
    const { _tag: state } = this.states.current()
    this.#setActive(this.active)
    if (this.#ready > 0) {
      if (state === "Connecting") this.states.set(Connectivity.Ready())
    } else if (state === "Ready") this.states.set(Connectivity.Idle())
    else if (state === "Connecting" && this.active.length === this.settings.initial) {
      const statuses = this.active.map(({ current }) => current.peer.status)
      if (statuses.every(({ state }) => state === "Down" || state === "Gone")) {
        this.states.set(Connectivity.TransientFailure({ cause: statuses[0]!.cause ?? "could not connect" }))
      }
    }
  }

  /** Scales the group until the scope closes. */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const growing = this.#growRequested.await.pipe(
      // The yield lets a whole burst be counted, not only its first call.
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(this.#growRequested.close),
      Effect.andThen(this.#grow),
      Effect.forever
    )
    const shrinking = Effect.sleep(this.settings.checkMillis).pipe(Effect.andThen(this.#shrink), Effect.forever)
    return Effect.all(
      [Effect.forkIn(growing, this.environment.scope), Effect.forkIn(shrinking, this.environment.scope)],
      {
        discard: true
      }
    )
  })
}
