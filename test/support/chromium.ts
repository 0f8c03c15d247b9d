/** Chromium for tests: Debian's, driven without a download of its own. */
import { Effect } from "effect"
import { type Browser, chromium } from "playwright-core"

const path = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"

/** Runs until the scope closes. */
export const browser = Effect.acquireRelease(
  Effect.promise((): Promise<Browser> => chromium.launch({ executablePath: path, args: ["--no-sandbox"] })),
  (browser) => Effect.promise(() => browser.close())
)
