/** Endpoints of the in-memory network. */
import { Result } from "effect"
import { Endpoint } from "trunkline"

/** The endpoint of an address the test wrote. */
export const endpoint = (address: string): Endpoint.Endpoint => Result.getOrThrow(Endpoint.parse(address))
