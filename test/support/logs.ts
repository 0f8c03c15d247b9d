/** What was logged, for tests. */
import { Effect, type Layer, Logger, References } from "effect"

export interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A logger that keeps its lines. */
export const logs = (): { readonly lines: ReadonlyArray<Line>; readonly layer: Layer.Layer<never> } => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    lines.push({ level: logLevel, message: String(message), annotations })
  })
  return { lines, layer: Logger.layer([logger]) }
}

/** Everything is loud enough. */
export const allLevels = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, References.MinimumLogLevel, "All")
