/** The sizes, texts and keys of the interop cases, as their public description gives them. */

/** A unary call's request and response, in bytes. */
export const large = { request: 271_828, response: 314_159 }

/** More than the 4 MiB a server reads by default. */
export const veryLarge = { request: 10 * 1024 * 1024, response: 10 }

/** The largest message the servers here read, so that they can be asked the very large request. */
export const maxMessageBytes = 16 * 1024 * 1024

/** The requests of a stream and, where each is answered, its response. */
export const sizes = {
  requests: [27_182, 8, 1828, 45_904],
  responses: [31_415, 9, 2653, 58_979],
  sumOfRequests: 74_922
}

/** The messages of the cases of compression: the first of two is compressed, the second is not. */
export const compressedSizes = { requests: [27_182, 45_904], responses: [31_415, 92_653] } as const

/** How many calls pick_first_unary makes. */
export const pickFirstCalls = 100

/** Metadata the server sends back: one key with the headers, one with the trailers. */
export const echo = {
  initialKey: "x-grpc-test-echo-initial",
  initial: "test_initial_metadata_value",
  trailingKey: "x-grpc-test-echo-trailing-bin",
  trailing: Uint8Array.of(0xab, 0xab, 0xab)
}

/** UNKNOWN, which is what the server is asked to end with. */
export const statusCode = 2
export const statusMessage = "test status message"
export const specialMessage = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"

/** The milliseconds timeout_on_sleeping_server gives a server that does not answer. */
export const shortTimeout = 1

/** A payload of so many zeros. */
export const zeros = (size: number): { readonly body: Uint8Array } => ({ body: new Uint8Array(size) })
