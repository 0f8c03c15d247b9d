/**
 * The receiving end of a stream, with its demand window.
 *
 * Back-pressure is one inequality: messages asked for, buffered, and being read never exceed the window together. The
 * receive window is the only owner of these counts. The wire delivers messages and the end; the window grants how many more
 * it may send. A reader gets at most half the window at a time, so that the wire can fill the other half meanwhile.
 */
import { Cause, Effect, type Pull } from "effect"
import type { RpcError } from "../status/RpcError.ts"

type Chunk<A> = readonly [A, ...Array<A>]

/**
 * A bounded buffer between the wire and one reader.
 *
 * @category models
 * @since 0.1.0
 */
export class ReceiveWindow<A> {
  readonly #window: number
  readonly #grant: (messages: number) => void
  #buffered: Array<A> = []
  #outstanding = 0
  /** Messages of the chunk the reader has; it is done with them when it asks for the next. */
  #reading = 0
  #end: Effect.Effect<never, RpcError | Cause.Done> | undefined = undefined
  #wake: (() => void) | undefined = undefined

  /** `grant` is called with how many more messages the wire may deliver. */
  constructor(window: number, grant: (messages: number) => void) {
    this.#window = window
    this.#grant = grant
  }

  /** Messages received and not yet read. */
  get buffered(): number {
    return this.#buffered.length
  }

  /** Messages asked for and not yet received. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** Asks for as many messages as the window has room for. */
  request(): void {
    const room = this.#window - this.#buffered.length - this.#outstanding - this.#reading
    if (room > 0 && this.#end === undefined) {
      this.#outstanding += room
      this.#grant(room)
    }
  }

  /** The wire delivers a message. */
  push(message: A): void {
    if (this.#outstanding > 0) this.#outstanding--
    this.#buffered.push(message)
    this.#wakeReader()
  }

  /** The wire ends: with an error, or well. What is buffered is still read. The first end counts. */
  end(error: RpcError | undefined): void {
    if (this.#end !== undefined) return
    this.#end = error === undefined ? Cause.done() : Effect.fail(error)
    this.#wakeReader()
  }

  /** What is buffered, as a chunk; waits for the first message; ends as the wire did. */
  readonly pull: Pull.Pull<Chunk<A>, RpcError> = Effect.suspend((): Pull.Pull<Chunk<A>, RpcError> => {
    this.#reading = 0
    if (this.#buffered.length > 0) {
      const chunk = this.#buffered.splice(0, Math.ceil(this.#window / 2)) as unknown as Chunk<A>
      this.#reading = chunk.length
      this.request()
      return Effect.succeed(chunk)
    }
    if (this.#end !== undefined) return this.#end
    this.request()
    return Effect.andThen(this.#arrival, this.pull)
  })

  readonly #arrival = Effect.callback<void>((resume) => {
    // The wire may have answered between the reader's look and its wait.
    if (this.#buffered.length > 0 || this.#end !== undefined) return resume(Effect.void)
    this.#wake = () => resume(Effect.void)
    return Effect.sync(() => {
      this.#wake = undefined
    })
  })

  #wakeReader(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
