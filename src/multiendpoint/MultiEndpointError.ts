/**
 * What can be wrong with lists of endpoints, and with asking for one.
 */
import { Data } from "effect"

/**
 * Lists of endpoints that cannot be used. `path` is where the problem is, such as `[1].endpoints[0]`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidMultiEndpoints extends Data.TaggedError("InvalidMultiEndpoints")<{
  readonly path: string
  readonly problem: string
}> {
  override get message(): string {
    return `multi-endpoints${this.path}: ${this.problem}`
  }
}

/**
 * A name that no list has.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownMultiEndpoint extends Data.TaggedError("UnknownMultiEndpoint")<{
  readonly name: string
  readonly known: ReadonlyArray<string>
}> {
  override get message(): string {
    return `no multi-endpoint is called ${JSON.stringify(this.name)}; known are ${this.known.join(", ")}`
  }
}
