/**
 * Time that passes only from one event to the next.
 *
 * What is to happen is a heap of instants. The clock jumps to the earliest, lets it happen, and runs every fiber that has
 * something to do because of it until all of them wait again; so what sleeps on the clock of the context and what is an
 * event of the simulated world keep one order, and that is the same each time. Nothing here is asynchronous: a simulated
 * minute is a loop.
 */
import { type Clock, Duration, Effect, Scheduler } from "effect"

/** Something that is to happen; after `cancel` it does not. */
export class Alarm {
  readonly at: number
  readonly order: number
  #happen: (() => void) | undefined

  constructor(at: number, order: number, happen: () => void) {
    this.at = at
    this.order = order
    this.#happen = happen
  }

  ring(): void {
    this.#happen?.()
  }

  cancel(): void {
    this.#happen = undefined
  }
}

/** Alarms of one instant ring in the order in which they were set. */
const isBefore = (a: Alarm, b: Alarm): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** A binary heap of alarms. */
class Alarms {
  readonly #heap: Array<Alarm> = []

  get first(): Alarm | undefined {
    return this.#heap[0]
  }

  push(alarm: Alarm): void {
    const heap = this.#heap
    let i = heap.push(alarm) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(alarm, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = alarm
  }

  /** Takes the first away. */
  pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

const nanosPerMilli = 1e6

export class SimulationClock implements Clock.Clock {
  /** What fibers do is put in a line, which is worked off between two events. */
  readonly scheduler: Scheduler.Scheduler = new Scheduler.MixedScheduler("async", (task) => {
    this.#tasks.push(task)
    return () => {
      const place = this.#tasks.indexOf(task)
      if (place >= 0) this.#tasks.splice(place, 1)
    }
  })
  readonly #alarms = new Alarms()
  #tasks: Array<() => void> = []
  #now = 0
  #nanos = 0n
  #order = 0

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now
  }

  /** Sets an alarm for an instant, which must not be over. */
  at(instant: number, happen: () => void): Alarm {
    // Whole nanoseconds, so that this number and the clock's are the same one.
    const alarm = new Alarm(Math.ceil(instant * nanosPerMilli) / nanosPerMilli, this.#order++, happen)
    this.#alarms.push(alarm)
    return alarm
  }

  /** Sets an alarm for so many milliseconds from now. */
  after(millis: number, happen: () => void): Alarm {
    return this.at(this.#now + millis, happen)
  }

  /** Lets fibers do what they have to do now. */
  settle(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks
      this.#tasks = []
      for (const task of tasks) task()
    }
  }

  /** Lets one event after the other happen, as long as `goOn` says so and there is one up to this instant. */
  run(until: number, goOn: () => boolean): void {
    this.settle()
    for (let next = this.#alarms.first; next !== undefined && next.at <= until && goOn(); next = this.#alarms.first) {
      this.#alarms.pop()
      if (next.at > this.#now) {
        this.#now = next.at
        this.#nanos = BigInt(Math.round(next.at * nanosPerMilli))
      }
      next.ring()
      this.settle()
    }
  }

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.#now)
  }

  currentTimeNanosUnsafe(): bigint {
    return this.#nanos
  }

  monotonicTimeNanosUnsafe(): bigint {
    return this.#nanos
  }

  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.#nanos)
  readonly monotonicTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.#nanos)

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const alarm = this.after(Duration.toMillis(duration), () => resume(Effect.void))
      return Effect.sync(() => alarm.cancel())
    })
  }
}
