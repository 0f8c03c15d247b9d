/**
 * Keys and certificates from files that are replaced, as cert-manager, Vault and ACME clients do it.
 *
 * The files are read again at an interval, which also sees the symbolic links Kubernetes swaps under a mounted secret.
 * While one file is new and the next is not yet, the adapter keeps what it has; the next reading brings both.
 */
import { readFile } from "node:fs/promises"
import { Data, type Duration, Effect, Schedule, Stream } from "effect"

/**
 * A file that cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsFileError extends Data.TaggedError("TlsFileError")<{
  readonly path: string
  readonly problem: string
}> {
  override get message(): string {
    return `cannot read ${this.path}: ${this.problem}`
  }
}

type Paths = Readonly<Record<string, string>>

type Contents<P extends Paths> = { readonly [K in keyof P]: Uint8Array }

const read = (path: string): Effect.Effect<Uint8Array, TlsFileError> =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (error) =>
      new TlsFileError({ path, problem: error instanceof Error && "code" in error ? String(error.code) : "unreadable" })
  })

const equal = (a: Readonly<Record<string, Uint8Array>>, b: Readonly<Record<string, Uint8Array>>): boolean =>
  Object.keys(a).every((name) => Buffer.compare(a[name]!, b[name]!) === 0)

/**
 * The contents of some files, now and whenever one of them changes. Fails if they can't be read at first; later failures
 * are logged, and the files are tried again.
 *
 * @example
 * import { Http2Server, TlsFiles } from "trunkline/http2"
 *
 * const server = Http2Server.layer({
 *   port: 50051,
 *   handlers: [],
 *   tls: TlsFiles.watch({ key: "/etc/tls/tls.key", cert: "/etc/tls/tls.crt" }, { every: "1 minute" })
 * })
 *
 * @category constructors
 * @since 0.1.0
 */
export const watch = <const P extends Paths>(
  paths: P,
  options?: {
    /** How often to look. Default 10 seconds. */
    readonly every?: Duration.Input | undefined
  }
): Stream.Stream<Contents<P>, TlsFileError> => {
  const contents = Effect.all(Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, read(path)])))
  const again = contents.pipe(
    Effect.map((found) => [found]),
    Effect.catch((error) => Effect.as(Effect.logWarning(error.message), []))
  )
  return Stream.fromEffect(contents).pipe(
    Stream.concat(
      Stream.fromEffectSchedule(again, Schedule.spaced(options?.every ?? "10 seconds")).pipe(
        // The first reading comes at once, and has just been made.
        Stream.drop(1),
        Stream.flatMap(Stream.fromIterable)
      )
    ),
    Stream.changesWith(equal)
  ) as Stream.Stream<Contents<P>, TlsFileError>
}
