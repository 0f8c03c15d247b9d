/**
 * The channels of one endpoint, at work.
 *
 * A call is counted when it is picked for a channel, not when it starts, so a burst sees its own effect. Counting may say
 * that more channels are wanted; a fiber off the calls' path opens them, makes sure that they work, and only then lets calls
 * see them. Another looks now and then whether there are too many: those that go take no new call, and close when the calls
 * on them have ended and nobody has wanted them back for a while.
 */
import { type Clock, Effect, Exit, Latch, Option, type Random, Scope, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as StateRef from "../transport/StateRef.ts"
import { AffinityTable } from "../affinity/AffinityTable.ts"
import { Channel } from "./Channel.ts"
import { Counts, type Meter } from "./ChannelStats.ts"
import type { Settings } from "./ChannelPoolOptions.ts"
import { Drain } from "./Draining.ts"
import * as Penalty from "./Penalty.ts"
import * as Pick from "./ChannelPick.ts"
import * as Scaling from "./Scaling.ts"
import { Silence } from "./UnresponsiveDetector.ts"
import * as Tenants from "./ChannelConnection.ts"

/** What a group needs of its surroundings. */
export interface Surroundings extends Tenants.Surroundings {
  readonly clock: Clock.Clock
  readonly random: Random.Random
  /** Whether somebody holds a key, so that it is to stay where it is. */
  readonly isHeld: (key: string) => boolean
  readonly meter: Meter | undefined
}

const notHeld = (): boolean => false

/** The channels of one endpoint. */
export class ChannelGroup {
  readonly endpoint: Endpoint
  readonly settings: Settings
  readonly around: Surroundings
  readonly states: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  readonly keys: AffinityTable<Channel> = new AffinityTable()
  /** What calls can be picked for, the oldest first. A new array for each change. */
  active: ReadonlyArray<Channel> = []
  readonly draining: Drain
  /** Calls under way on all channels in use. */
  load = 0
  readonly counts: Counts
  readonly #penalized = new Set<Channel>()
  readonly #wanted = Latch.makeUnsafe(false)
  #scaling: Scaling.State = Scaling.initial
  #opening = 0
  #ready = 0
  #ids = 0
  #turn = 0

  constructor(endpoint: Endpoint, settings: Settings, around: Surroundings) {
    this.endpoint = endpoint
    this.settings = settings
    this.around = around
    this.counts = new Counts(around.meter)
    this.draining = new Drain(settings.graceMillis, around.scope)
  }

  /** How many of the channels calls can be picked for are connected. */
  get ready(): number {
    return this.#ready
  }

  get now(): number {
    return Deadline.nowUnsafe(this.around.clock)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Picking
  // -------------------------------------------------------------------------------------------------------------------

  /** The channel of a call that may go anywhere. */
  pick(now: number): Channel | undefined {
    return Pick.ofTwo(this.active, this.settings.penalty, this.around.random, now)
  }

  /** The channel of a call that takes its turn. */
  inTurn(): Channel | undefined {
    return Pick.inTurn(this.active, this.#turn++)
  }

  /** Where the calls of a key go. */
  placeOf(key: string, now: number): Channel | undefined {
    return this.keys.place(
      key,
      now,
      (except) => Pick.leastBusy(this.active, this.settings.penalty, now, except),
      this.settings.fallsBack
    )
  }

  /** Counts a call onto a channel. */
  enter(channel: Channel, now: number): void {
    channel.enter()
    if (!channel.draining) this.load++
    this.counts.busy(channel.load, this.load)
    if (this.#size >= this.settings.max || now < this.#scaling.coolUntil) return
    const selected = channel.load + Penalty.forScaling(channel.penalty, now)
    if (Scaling.isHigh(this.settings, selected, this.#sampled(now))) this.#wanted.openUnsafe()
  }

  /** Counts it off, and charges the channel if that is what the call says. */
  leave(channel: Channel, charged: boolean, now: number): void {
    channel.leave()
    if (channel.draining) return
    this.load--
    this.counts.busy(channel.load, this.load)
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

  #sampled(now: number): Scaling.Sample {
    let { load } = this
    for (const channel of this.#penalized) {
      const points = Penalty.forScaling(channel.penalty, now)
      if (points === 0) this.#penalized.delete(channel)
      load += points
    }
    return { load, active: this.#ready, size: this.#size }
  }

  /** Adds what is wanted: channels that drain and still work before new ones. */
  readonly #grow = Effect.suspend(() => {
    const { now } = this
    const [state, add] = Scaling.grow(this.settings, this.#scaling, this.#sampled(now), now)
    this.#scaling = state
    if (add === 0) return Effect.void
    const back = this.draining.takeBack(add)
    for (const channel of back) this.#return(channel)
    return Effect.forEach(Array.from({ length: add - back.length }), () => this.#build, {
      concurrency: "unbounded",
      discard: true
    })
  })

  #return(channel: Channel): void {
    this.load += channel.load
    this.counts.totals.reused++
    this.counts.totals.added++
    this.#publish(channel)
  }

  #setActive(active: ReadonlyArray<Channel>): void {
    this.active = active
    this.#ready = active.filter((channel) => channel.isReady).length
    this.counts.size(active.length, this.#ready)
  }

  #publish(channel: Channel): void {
    this.#setActive([...this.active, channel])
    this.counts.busy(channel.load, this.load)
  }

  /** A tenant that works, or none. */
  readonly #worthy: Effect.Effect<Option.Option<Tenants.Tenant>> = Effect.suspend(() => {
    this.#opening++
    return Tenants.openPrimed(this.endpoint, this.settings, this.around).pipe(
      Effect.tap((tenant) => Effect.sync(() => void (Option.isNone(tenant) && this.counts.totals.primeFailures++))),
      Effect.ensuring(Effect.sync(() => this.#opening--))
    )
  })

  readonly #build = Effect.flatMap(
    Effect.suspend(() => this.#worthy),
    Option.match({
      onNone: () => Effect.void,
      onSome: (tenant) =>
        Effect.suspend(() => {
          const channel = this.#channel(tenant)
          this.counts.totals.added++
          this.#publish(channel)
          return this.#follow(channel, tenant)
        })
    })
  )

  #channel(tenant: Tenants.Tenant): Channel {
    this.counts.totals.opened++
    const { silence } = this.settings
    return new Channel(++this.#ids, tenant, silence === undefined ? undefined : new Silence(silence, this.now))
  }

  /** Keeps a channel connected, and passes on what that means for all. */
  #follow(channel: Channel, tenant: Tenants.Tenant): Effect.Effect<void> {
    let asked = this.now
    let connected = false
    return Stream.runForEach(tenant.peer.changes, ({ state }) =>
      Effect.sync(() => {
        if (channel.tenant !== tenant) return
        const ready = channel.isReady
        if (ready && !connected) {
          this.counts.connected(this.now - asked)
        } else if (!ready && connected) {
          this.counts.totals.disconnects++
          asked = this.now
          // It is not opened again, so that keys that are held wait for nothing here.
          if (channel.draining) this.keys.release(channel, notHeld)
        }
        connected = ready
        const wanted = !channel.draining && this.states.current()._tag !== "Idle"
        if (state === "Idle" && wanted) tenant.peer.requestConnect()
        this.#refresh()
      })
    ).pipe(Effect.forkIn(tenant.scope), Effect.asVoid)
  }

  /** Takes away the channels that are missed least, if there have been too many for long enough. */
  readonly #shrink = Effect.suspend(() => {
    // What is being opened carries nothing yet, and may never.
    const size = this.active.length
    const [state, remove] = Scaling.shrink(this.settings, this.#scaling, { active: this.#ready, load: this.load, size })
    this.#scaling = state
    const least = this.active
      .toSorted((a, b) => Number(a.isReady) - Number(b.isReady) || a.load - b.load || a.keys - b.keys || a.id - b.id)
      .slice(0, remove)
    return Effect.forEach(least, (channel) => this.#drain(channel), { discard: true })
  })

  /** Out of use at once, and forgotten by what is known of those in use. */
  #drain(channel: Channel): Effect.Effect<void> {
    this.#setActive(this.active.filter((other) => other !== channel))
    this.load -= channel.load
    channel.penalty = Penalty.none
    this.#penalized.delete(channel)
    this.keys.release(channel, channel.isReady ? this.around.isHeld : notHeld)
    this.counts.totals.removed++
    return this.draining.begin(channel)
  }

  /** Exchanges the connection of a channel that does not answer. Calls on the old one go on. */
  replace(channel: Channel): Effect.Effect<void> {
    const { silence } = channel
    if (silence === undefined || channel.replacing || !this.active.includes(channel)) return Effect.void
    channel.replacing = true
    this.counts.silent(silence.silentMillis(this.now), silence.failures)
    const exchange = (next: Tenants.Tenant) => {
      const { tenant } = channel
      channel.tenant = next
      silence.replaced(this.now)
      this.counts.totals.replaced++
      const close = Effect.andThen(tenant.peer.connection?.drained ?? Effect.void, Scope.close(tenant.scope, Exit.void))
      return Effect.andThen(this.#follow(channel, next), Effect.forkIn(close, this.around.scope))
    }
    return this.#worthy.pipe(
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.void,
          // The channel may have gone meanwhile, and nobody would close what came for it.
          onSome: (next) => (this.active.includes(channel) ? exchange(next) : Scope.close(next.scope, Exit.void))
        })
      ),
      // One that failed may be tried again after the next call that ends at its deadline.
      Effect.ensuring(Effect.sync(() => (channel.replacing = false))),
      Effect.forkIn(this.around.scope),
      Effect.asVoid
    )
  }

  // -------------------------------------------------------------------------------------------------------------------
  // All of them as one connection
  // -------------------------------------------------------------------------------------------------------------------

  /** Opens the first channels, once. */
  readonly connect: Effect.Effect<void> = Effect.suspend(() => {
    if (this.states.current()._tag !== "Idle" || this.active.length > 0) return Effect.void
    this.states.set(Connectivity.Connecting())
    const open = Effect.flatMap(Tenants.open(this.endpoint, this.settings, this.around), (tenant) => {
      const channel = this.#channel(tenant)
      this.#publish(channel)
      return this.#follow(channel, tenant)
    })
    return Effect.forEach(Array.from({ length: this.settings.initial }), () => open, { discard: true }).pipe(
      Effect.uninterruptible
    )
  })

  /** Ready while one of them is; failed when none could be opened; idle, and for its owner to close, when all are lost. */
  #refresh(): void {
    const { _tag: state } = this.states.current()
    this.#setActive(this.active)
    if (this.#ready > 0) {
      if (state === "Connecting") this.states.set(Connectivity.Ready())
    } else if (state === "Ready") this.states.set(Connectivity.Idle())
    else if (state === "Connecting" && this.active.length === this.settings.initial) {
      const statuses = this.active.map(({ tenant }) => tenant.peer.status)
      if (statuses.every(({ state }) => state === "Down" || state === "Gone")) {
        this.states.set(Connectivity.TransientFailure({ cause: statuses[0]!.cause ?? "could not connect" }))
      }
    }
  }

  /** What goes on besides calls, until the scope closes. */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const growing = this.#wanted.await.pipe(
      // A burst is seen whole, not by the first of its calls.
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(this.#wanted.close),
      Effect.andThen(this.#grow),
      Effect.forever
    )
    const shrinking = Effect.sleep(this.settings.checkMillis).pipe(Effect.andThen(this.#shrink), Effect.forever)
    return Effect.all([Effect.forkIn(growing, this.around.scope), Effect.forkIn(shrinking, this.around.scope)], {
      discard: true
    })
  })
}
