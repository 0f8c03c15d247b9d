/** Chromium for tests: Debian's, driven without a download of its own. */
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { type Browser, chromium } from "playwright-core"

const path = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"

const isThere = existsSync(path)

/** Why tests in a browser are skipped; `undefined` if they are not. With `CHROMIUM=required` they fail instead. */
export const missing: string | undefined =
  isThere || process.env["CHROMIUM"] === "required"
    ? undefined
    : `skipped: there is no ${path}; apt-get install chromium, or set CHROMIUM_PATH`

/** Runs until the scope closes. */
export const browser = Effect.acquireRelease(
  Effect.promise((): Promise<Browser> => chromium.launch({ executablePath: path, args: ["--no-sandbox"] })),
  (browser) => Effect.promise(() => browser.close())
)
