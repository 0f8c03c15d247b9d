/**
 * One peer: the first, in the order discovery gave, that can be reached.
 *
 * Peers are asked to connect one after the other. The next one's turn comes when all before it have failed, or when the
 * last one asked has not answered within the attempt delay ("happy eyeballs"): a family of addresses that leads nowhere
 * costs a fraction of a second and not a connect timeout. Families take turns for the same reason. The first to be ready
 * wins, the others asked are let go, and calls stay on the winner until it is lost. Peers that have failed keep trying by
 * themselves, and may win later. Peers of weight 0 come after all others.
 *
 * @see https://github.com/grpc/proposal/blob/master/A61-IPv4-IPv6-dualstack-backends.md
 * @see https://github.com/grpc/proposal/blob/master/A62-pick-first.md
 */
import { Clock, Duration, Effect, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "./Picker.ts"

const isIPv6 = ({ endpoint: { address } }: Peer): boolean => address._tag === "Tcp" && address.host.includes(":")

/** Lets the families of addresses take turns, beginning with the first one's. */
const interleaved = (peers: ReadonlyArray<Peer>): ReadonlyArray<Peer> => {
  const [first, ...rest] = peers
  if (first === undefined) return []
  const alike = rest.filter((peer) => isIPv6(peer) === isIPv6(first))
  const others = rest.filter((peer) => isIPv6(peer) !== isIPv6(first))
  const turns = Array.from({ length: Math.max(alike.length, others.length) }, (_, i) => [others[i], alike[i]])
  return [first, ...turns.flat().filter((peer) => peer !== undefined)]
}

/** Picks one peer, and another ready one only for a call that has failed on it. */
const staying = (winner: Peer, ready: ReadonlyArray<Peer>): Picker.Picker => ({
  pick: ({ triedPeers }) =>
    triedPeers.length === 0 || !triedPeers.includes(winner.id)
      ? winner
      : (ready.find((peer) => !triedPeers.includes(peer.id)) ?? winner)
})

const isOnItsWay = ({ status: { state } }: Peer): boolean => state === "Idle" || state === "Connecting"

/** Whose turn comes when. Those of weight 0 stand by until all others have failed. */
interface Order {
  readonly order: ReadonlyArray<Peer>
  readonly standby: ReadonlyArray<Peer>
}

const orderOf = ({ peers, weightOf }: Picker.PeerSet): Order => {
  const isStandby = (peer: Peer) => !(weightOf(peer) > 0)
  return peers.every(isStandby)
    ? { order: interleaved(peers), standby: [] }
    : {
        order: interleaved(peers.filter((peer) => !isStandby(peer))),
        standby: interleaved(peers.filter(isStandby))
      }
}

/** The way to the next winner: who was asked to connect, and when the next one may be. */
class Race {
  readonly #asked = new Set<Peer>()
  readonly #delay: number
  #nextAt = -Infinity

  constructor(delay: number) {
    this.#delay = delay
  }

  /**
   * Asks whose turn it is; the milliseconds to the next turn, `undefined` if nobody is left, or only peers that stand by
   * while others are on their way.
   */
  ask({ order, standby }: Order, now: number): number | undefined {
    for (const peer of this.#asked) if (peer.status.state === "Gone") this.#asked.delete(peer)
    for (const peer of [...order, ...standby]) {
      if (this.#asked.has(peer)) {
        // One that was lost before anybody saw it ready waits to be asked again.
        if (peer.status.state === "Idle") peer.requestConnect()
        continue
      }
      if (standby.includes(peer) && [...this.#asked].some(isOnItsWay)) return undefined
      if (now < this.#nextAt && [...this.#asked].some(isOnItsWay)) return this.#nextAt - now
      // One that is not idle connects already, or tries to: somebody else asked it.
      if (peer.status.state === "Idle") peer.requestConnect()
      this.#asked.add(peer)
      if (isOnItsWay(peer)) this.#nextAt = now + this.#delay
    }
    return undefined
  }

  /** Lets everybody go who was asked, but the winner. */
  end(winner: Peer): void {
    for (const peer of this.#asked) if (peer !== winner) peer.requestDisconnect()
    this.#asked.clear()
    this.#nextAt = -Infinity
  }
}

/**
 * Sends every call to the first reachable peer. `attemptDelay` is how long a peer has the race to itself: default 250
 * milliseconds, at least 100 milliseconds and at most 2 seconds.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly attemptDelay?: Duration.Input | undefined }): Picker.PickerPolicy => {
  const delay = Math.min(2000, Math.max(100, Duration.toMillis(options?.attemptDelay ?? "250 millis")))
  return {
    name: "PickFirst",
    load: undefined,
    pickers: (sets) =>
      Stream.unwrap(
        Effect.map(Clock.Clock, (clock) => {
          const race = new Race(delay)
          let current: Peer | undefined

          const run = (order: Order): Effect.Effect<void> =>
            Effect.suspend(() => {
              const wait = race.ask(order, Deadline.nowUnsafe(clock))
              return wait === undefined ? Effect.void : Effect.andThen(Effect.sleep(wait), run(order))
            })

          return Stream.switchMap(sets, (set): Stream.Stream<Picker.Picker> => {
            const order = orderOf(set)
            const ready = [...order.order, ...order.standby].filter((peer) => set.ready.includes(peer))
            const winner = current !== undefined && ready.includes(current) ? current : ready[0]
            const before = current
            current = winner
            if (winner === undefined)
              return Stream.concat(Stream.succeed(Picker.unready(set)), Stream.fromEffectDrain(run(order)))
            const picker = Stream.succeed(staying(winner, ready))
            // One that stands by for the others does not end their race.
            if (order.standby.includes(winner)) return Stream.concat(picker, Stream.fromEffectDrain(run(order)))
            if (winner !== before) race.end(winner)
            return picker
          })
        })
      )
  }
}
