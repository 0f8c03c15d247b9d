/**
 * Pictures of the debug page, on a wide and a narrow screen, by day and by night.
 *
 *   npm run -s debug-page:screenshots
 */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect, Layer, Stream } from "effect"
import { chromium } from "playwright-core"
import { Introspection } from "trunkline"
import { NodeDebugPage } from "trunkline/debug-page"
import { scene } from "./Scene.ts"

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"
const folder = fileURLToPath(new URL("../../../examples/debug-page/", import.meta.url))

/** Shows the same moment to everybody. */
const Still = Layer.succeed(
  Introspection.Introspection,
  Introspection.Introspection.of({
    register: () => Effect.void,
    snapshot: Effect.succeed(scene),
    snapshots: Stream.concat(Stream.succeed(scene), Stream.never)
  })
)

const browser = Effect.acquireRelease(
  Effect.promise(() => chromium.launch({ executablePath, args: ["--no-sandbox"] })),
  (browser) => Effect.promise(() => browser.close())
)

const program = Effect.gen(function* () {
  const { url } = yield* NodeDebugPage.NodeDebugPage
  const chromium = yield* browser
  for (const width of [1440, 360]) {
    for (const colorScheme of ["light", "dark"] as const) {
      const path = `${folder}${width}-${colorScheme}.png`
      yield* Effect.promise(async () => {
        const page = await chromium.newPage({ viewport: { width, height: 900 }, colorScheme })
        await page.goto(url)
        await page.getByText("This page is live").waitFor()
        await page.screenshot({ path, fullPage: true })
        await page.close()
      })
      console.log(path)
    }
  }
}).pipe(Effect.scoped, Effect.provide(NodeDebugPage.layer()), Effect.provide(Still))

if (existsSync(executablePath)) await Effect.runPromise(program)
else {
  console.error(`there is no ${executablePath}: apt-get install chromium, or say where it is in CHROMIUM_PATH`)
  process.exitCode = 1
}
