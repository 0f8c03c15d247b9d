/** Builds the package before the tests that look at it, once for all of them. */
import { execFileSync } from "node:child_process"

export default (): void => {
  // The compiler prints its errors, so they are seen.
  execFileSync("npm", ["run", "-s", "build"], { stdio: ["ignore", "inherit", "inherit"] })
}
