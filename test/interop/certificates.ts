/**
 * A certificate for the name the interop programs use, made at the first need and shared by the programs of one build.
 *
 * Node cannot make certificates and fixtures expire. The client trusts the server's own certificate, so that it is its own
 * authority.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { generate } from "selfsigned"

/** Files of a key, of the certificate that belongs to it, and of the authority that vouches for that. */
export interface Files {
  readonly keyFile: string
  readonly certFile: string
  readonly caFile: string
}

const filesIn = (folder: string): Files => {
  const certFile = join(folder, "cert.pem")
  return { keyFile: join(folder, "key.pem"), certFile, caFile: certFile }
}

const name = "*.test.google.fr"

/** Beside the programs: build/interop. */
const shared = fileURLToPath(new URL("../../interop", import.meta.url))

/** Makes a key and a certificate in a folder. */
export const make = async (folder: string): Promise<Files> => {
  const made = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: name }] }]
  })
  const files = filesIn(folder)
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of [
    [files.keyFile, made.private],
    [files.certFile, made.cert]
  ] as const) {
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  return files
}

const sharedFiles = filesIn(shared)

/** The key and certificate of a server: the files it was given, or the shared ones. */
export const ofServer = async (certFile: string | undefined, keyFile: string | undefined) => {
  const given = certFile !== undefined && keyFile !== undefined
  const files = given ? { certFile, keyFile } : existsSync(sharedFiles.certFile) ? sharedFiles : await make(shared)
  return { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }
}

/** The authority a client trusts that was told to use the test CA. */
export const testCa = (caFile: string | undefined): Buffer => readFileSync(caFile ?? sharedFiles.caFile)
