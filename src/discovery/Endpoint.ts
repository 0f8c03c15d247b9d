/**
 * One backend as discovery names it.
 */
import { Data, type Result } from "effect"

/**
 * Where to connect. A host that is not an IP address is resolved by the connector at each connect.
 *
 * @category models
 * @since 0.1.0
 */
export type Address = Data.TaggedEnum<{
  Tcp: { readonly host: string; readonly port: number }
  Unix: { readonly path: string }
}>

/**
 * Constructors and matchers of addresses.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Address = Data.taggedEnum<Address>()

/**
 * A backend. Equal ids are the same backend: a new set that names an id again keeps its peer and its connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Endpoint {
  readonly id: string
  readonly address: Address
  /** The name the server is known by, for `:authority` and certificates; `undefined` means the address itself. */
  readonly authority: string | undefined
}

/**
 * An address that cannot be one. Says what was given and what is wrong with it.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressError extends Data.TaggedError("AddressError")<{
  readonly input: string
  readonly problem: string
}> {
  override get message(): string {
    return `address ${JSON.stringify(this.input)}: ${this.problem}`
  }
}

export declare const parse: (input: string) => Result.Result<Endpoint, AddressError>
