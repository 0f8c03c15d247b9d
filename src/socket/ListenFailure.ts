/** Why a server cannot listen where it was told to, for the person who told it. */

/** What is known of the commonest reasons; otherwise what the system said. */
export const explain = (message: string): string => {
  const code = /\bE[A-Z]{3,}\b/.exec(message)?.[0]
  switch (code) {
    case "EADDRINUSE":
      return `it is in use (${code}): does another server listen there, or an earlier run of this one?`
    case "EACCES":
      return `no permission (${code}): most systems keep ports below 1024 for their administrator`
    case "EADDRNOTAVAIL":
      return `this machine has no such address (${code})`
    case "ENOTFOUND":
      return `there is no such host (${code})`
  }
  return message
}
