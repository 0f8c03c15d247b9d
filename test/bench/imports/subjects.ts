/** What is imported: entry points of this package, what they stand on, and what others ask of a client. */

export interface Subject {
  readonly name: string
  /** The specifiers that a program would import. */
  readonly imports: ReadonlyArray<string>
}

/** Code that comes from elsewhere, whoever imports it, and is counted with nobody. */
export const outside: ReadonlyArray<string> = [
  "effect",
  "effect/*",
  "@grpc/grpc-js",
  "@bufbuild/protobuf",
  "@bufbuild/protobuf/*"
]

export const effect: Subject = { name: "effect", imports: ["effect"] }

export const entries: ReadonlyArray<Subject> = [
  "trunkline",
  "trunkline/http2",
  "trunkline/grpc-js",
  "trunkline/debug-page",
  "trunkline/google",
  "trunkline/extend",
  "trunkline/testing"
].map((name) => ({ name, imports: [name] }))

/** A client, as each library has one. */
export const clients: ReadonlyArray<Subject> = [
  { name: "connect-node", imports: ["@connectrpc/connect", "@connectrpc/connect-node"] },
  { name: "nice-grpc", imports: ["nice-grpc"] },
  { name: "trunkline, http2", imports: ["trunkline", "trunkline/http2"] },
  { name: "trunkline, grpc-js", imports: ["trunkline", "trunkline/grpc-js"] }
]
