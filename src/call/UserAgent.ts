/**
 * What this library is called on the wire and at the command line.
 */

/** The version of the package. */
export const version = "0.1.0"

/** The `user-agent` of clients, in gRPC's form `grpc-<language>-<variant>/<version>`. */
export const userAgent = `grpc-node-trunkline/${version}`
