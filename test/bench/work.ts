/** The work every contender does: what it asks, how long it waits, and what it must be answered. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { EchoRequestSchema, EchoResponse } from "../gen/echo_pb.ts"

/** A partial message, as a program writes it; each contender makes the message of it and the bytes of that. */
export const request: MessageInitShape<typeof EchoRequestSchema> = { text: "Hello, Ada" }

/** For the whole call, retries included. */
export const deadlineMillis = 60_000

/** For one attempt, where a contender has attempts. */
export const timeoutMillis = 30_000

/** Nothing for the right answer, else what is wrong with it. */
export const problemWith = (response: EchoResponse | undefined): Error | undefined =>
  response?.text === request.text ? undefined : new Error(`answered ${JSON.stringify(response?.text)}`)
