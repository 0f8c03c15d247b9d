/**
 * The house, held against the imports of src: which room may import which, who may import third parties, no circles, not
 * by type either, small files with telling names, and no clock or dice of its own. To open a door, change the table and
 * say why; a door that makes a circle cannot be opened.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"
import { parseSync, Visitor } from "vite"

interface Room {
  readonly floor: number
  readonly answers: string
  readonly mayImport: ReadonlyArray<string>
}

const rooms: Readonly<Record<string, Room>> = {
  h2: { floor: 0, answers: "HTTP/2 as a machine: bytes to events, commands to bytes", mayImport: [] },
  status: { floor: 0, answers: "how a call can end, and what that says about the peer", mayImport: [] },
  discovery: { floor: 1, answers: "which endpoints exist now", mayImport: ["status"] },
  introspection: {
    floor: 0,
    answers: "what a program can say of itself: snapshots of pools, clients and channels",
    mayImport: []
  },
  call: { floor: 1, answers: "what a call is", mayImport: ["status"] },
  debugpage: { floor: 1, answers: "the page that shows snapshots", mayImport: ["introspection"] },
  transport: {
    floor: 2,
    answers: "what carries a call; what opens a connection",
    mayImport: ["h2", "call", "discovery", "status"]
  },
  interceptors: { floor: 2, answers: "what stands in front of calls, ready made", mayImport: ["call", "status"] },
  telemetry: { floor: 2, answers: "metrics and traces by OpenTelemetry's names", mayImport: ["call", "status"] },
  retry: { floor: 2, answers: "whether, when and how much to try again: pure policies", mayImport: ["call", "status"] },
  policy: { floor: 3, answers: "policies as data: service configs", mayImport: ["retry", "call", "status"] },
  server: { floor: 3, answers: "serving handlers", mayImport: ["telemetry", "call", "status"] },
  peer: {
    floor: 3,
    answers: "one backend and its connection",
    mayImport: ["transport", "discovery", "call", "status"]
  },
  affinity: {
    floor: 3,
    answers: "keys that bind calls to peers and channels",
    mayImport: ["telemetry", "call", "status"]
  },
  session: {
    floor: 3,
    answers: "what must be watched on Node's HTTP/2, and what its ends say",
    mayImport: ["transport", "status"]
  },
  socket: {
    floor: 3,
    answers: "a socket to an endpoint, through proxy and TLS",
    mayImport: ["transport", "discovery"]
  },
  attempts: {
    floor: 4,
    answers: "the engine that tries again: retries, hedges, resumed streams",
    mayImport: ["policy", "retry", "call", "status"]
  },
  signals: {
    floor: 4,
    answers: "what speaks against a peer that is connected",
    mayImport: ["peer", "transport", "call", "status"]
  },
  grpcjs: {
    floor: 4,
    answers: "the only importer of `@grpc/grpc-js`",
    mayImport: ["session", "socket", "transport", "server", "discovery", "call", "status"]
  },
  http2: {
    floor: 4,
    answers: "the same wire straight on `node:http2`: connector and server",
    mayImport: ["session", "socket", "transport", "server", "discovery", "call", "status"]
  },
  channelpool: {
    floor: 4,
    answers: "several connections to one endpoint: a connector around a connector",
    mayImport: ["peer", "affinity", "telemetry", "transport", "introspection", "discovery", "call", "status"]
  },
  client: {
    floor: 5,
    answers: "typed methods from a service",
    mayImport: ["attempts", "policy", "retry", "transport", "telemetry", "introspection", "call", "status"]
  },
  picker: {
    floor: 5,
    answers: "which peer takes this call",
    mayImport: ["signals", "peer", "transport", "discovery", "call", "status"]
  },
  channel: {
    floor: 7,
    answers: "a target over a wire, in one line",
    mayImport: ["balancer", "http2", "grpcjs", "transport", "discovery"]
  },
  registries: {
    floor: 6,
    answers: "endpoints from the systems clusters run",
    mayImport: ["client", "discovery", "call", "status"]
  },
  balancer: {
    floor: 6,
    answers: "peers + picker = a transport",
    mayImport: [
      "picker",
      "signals",
      "peer",
      "affinity",
      "telemetry",
      "transport",
      "introspection",
      "discovery",
      "call",
      "status"
    ]
  },
  services: {
    floor: 6,
    answers: "the standard gRPC services, both sides: health, reflection, load reports",
    mayImport: ["server", "client", "signals", "peer", "transport", "call", "status"]
  },
  google: {
    floor: 6,
    answers: "what Google's APIs add: operations, pages, GAPIC and channel pool configs",
    mayImport: ["client", "channelpool", "affinity", "policy", "retry", "transport", "call", "status"]
  },
  multiendpoint: {
    floor: 7,
    answers: "named lists of endpoints with failover: a transport of transports",
    mayImport: ["balancer", "picker", "peer", "telemetry", "transport", "introspection", "discovery", "call", "status"]
  },
  testing: {
    floor: 7,
    answers: "what users test with (`trunkline/testing`)",
    mayImport: [
      "balancer",
      "services",
      "picker",
      "signals",
      "peer",
      "client",
      "server",
      "attempts",
      "retry",
      "transport",
      "telemetry",
      "call",
      "discovery",
      "status"
    ]
  },
  cli: {
    floor: 8,
    answers: "what people run: `npx trunkline`",
    mayImport: [
      "balancer",
      "picker",
      "peer",
      "services",
      "google",
      "grpcjs",
      "policy",
      "retry",
      "introspection",
      "discovery",
      "call",
      "status"
    ]
  }
}

/** Rooms that only applications, examples and tests import; here, only the barrel that hands them out, and the program. */
const adapters = ["grpcjs", "http2", "registries"]

/** What users import. They gather from every room, so the table does not bind them. */
const barrels = [
  "index.ts",
  "extend.ts",
  "http2/index.ts",
  "grpcjs/index.ts",
  "debugpage/index.ts",
  "google/index.ts",
  "testing/index.ts"
]

/** Third parties, and the files they stop at. */
const doors: ReadonlyArray<{ readonly party: RegExp; readonly only: ReadonlyArray<string> }> = [
  { party: /^effect(\/|$)/, only: [""] },
  { party: /^@grpc\/grpc-js$/, only: ["grpcjs/"] },
  {
    party: /^@bufbuild\/protobuf(\/|$)/,
    // The last three: pages and operations are told from messages, by their descriptors.
    // oxfmt-ignore
    only: [
      "status/ErrorDetails.ts", "status/gen/", "call/", "services/",
      "google/Paging.ts", "google/Operation.ts", "google/gen/"
    ]
  },
  {
    party: /^node:/,
    // The last three are adapters in one file each, and the program that users run.
    only: [
      "grpcjs/",
      "http2/",
      "session/",
      "socket/",
      "registries/",
      "discovery/NodeDns.ts",
      "debugpage/NodeDebugPage.ts",
      "cli/"
    ]
  }
]

/** Time, chance and waiting come from the context, except where the outside world has its own. */
const banned = [/\bDate\.now\(/, /\bMath\.random\(/, /\bsetTimeout\(/, /\basync\s/]
// The script runs in a browser, which has no other clock.
const mayUseBanned = ["grpcjs/", "http2/", "session/", "discovery/NodeDns.ts", "debugpage/Script.ts"]

const maxCodeLines = 350

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

interface Import {
  /** Another file of src, by its path in it; or a package. */
  readonly target: string
  readonly isFile: boolean
  readonly atRunTime: boolean
}

interface Source {
  readonly path: string
  /** The first folder; none for a file at the root. */
  readonly room: string | undefined
  readonly imports: ReadonlyArray<Import>
  /** The lines that are neither blank nor comment. */
  readonly code: ReadonlyArray<string>
}

const roomOf = (path: string): string | undefined => (path.includes("/") ? path.split("/")[0] : undefined)

const parse = (path: string, text: string): Source => {
  const { program, comments } = parseSync(path, text)
  const imports: Array<Import> = []
  const add = (from: { readonly type: string } | null, atRunTime: boolean) => {
    const specifier = from !== null && "value" in from ? String(from.value) : "an expression"
    const isFile = specifier.startsWith(".")
    imports.push({ target: isFile ? posix.join(posix.dirname(path), specifier) : specifier, isFile, atRunTime })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source, node.importKind !== "type"),
    ExportAllDeclaration: (node) => add(node.source, node.exportKind !== "type"),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source, node.exportKind !== "type")
    },
    ImportExpression: (node) => add(node.source, true),
    TSImportType: (node) => add(node.source, false)
  }).visit(program)

  let code = text
  for (const { start, end } of comments) {
    code = code.slice(0, start) + code.slice(start, end).replace(/[^\n]/g, " ") + code.slice(end)
  }
  return { path, room: roomOf(path), imports, code: code.split("\n").filter((line) => line.trim() !== "") }
}

// ---------------------------------------------------------------------------------------------------------------------
// Rules: each names what breaks it
// ---------------------------------------------------------------------------------------------------------------------

type Rule = (sources: ReadonlyArray<Source>) => ReadonlyArray<string>

const isUnder = (path: string, places: ReadonlyArray<string>): boolean => places.some((place) => path.startsWith(place))

/** A rule about one file. */
const each =
  (rule: (source: Source) => ReadonlyArray<string>): Rule =>
  (sources) =>
    sources.flatMap(rule)

const knownRooms = each(({ path, room }) =>
  barrels.includes(path) || (room !== undefined && room in rooms) ? [] : [`${path} is in no room of the table`]
)

const roomTable = each(({ path, room, imports }) => {
  if (barrels.includes(path) || room === undefined) return []
  const mayImport = rooms[room]?.mayImport ?? []
  return imports
    .filter(({ target, isFile }) => isFile && roomOf(target) !== room && !mayImport.includes(roomOf(target) ?? ""))
    .map(({ target }) => `${path} imports ${target}: ${room}/ may import ${mayImport.join(" ") || "nothing"}`)
})

const adaptersApart = each(({ path, room, imports }) =>
  path === "extend.ts" || path.startsWith("channel/") || path.startsWith("cli/")
    ? []
    : imports
        .filter(({ target, isFile }) => isFile && roomOf(target) !== room && isUnder(target, adapters))
        .map(({ target }) => `${path} imports ${target}: only channel/, cli/ and extend.ts may import an adapter`)
)

const thirdParties = each(({ path, imports }) =>
  imports
    .filter(({ isFile }) => !isFile)
    .flatMap(({ target }) => {
      const door = doors.find(({ party }) => party.test(target))
      if (door === undefined) return [`${path} imports ${target}: not a dependency on record`]
      return isUnder(path, door.only) ? [] : [`${path} imports ${target}: it stops at ${door.only.join(" ")}`]
    })
)

const cyclesOf = (sources: ReadonlyArray<Source>, counts: (one: Import) => boolean): ReadonlyArray<string> => {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const cycles: Array<string> = []
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "))
    if (trail.includes(path) || done.has(path)) return
    for (const one of byPath.get(path)?.imports ?? []) if (counts(one)) visit(one.target, [...trail, path])
    done.add(path)
  }
  for (const path of byPath.keys()) visit(path, [])
  return cycles
}

const noCycles: Rule = (sources) => cyclesOf(sources, ({ atRunTime }) => atRunTime)

const noTypeCycles: Rule = (sources) => cyclesOf(sources, () => true)

const smallFiles = each(({ path, code }) =>
  code.length > maxCodeLines ? [`${path} has ${code.length} code lines, more than ${maxCodeLines}`] : []
)

const tellingNames = each(({ path }) =>
  /(^|\/)(utils?|helpers?|common|managers?)\.ts$/i.test(path) ? [`${path} does not say what it answers`] : []
)

const noOwnClock = each(({ path, code }) =>
  isUnder(path, mayUseBanned)
    ? []
    : code.filter((line) => banned.some((pattern) => pattern.test(line))).map((line) => `${path}: ${line.trim()}`)
)

// ---------------------------------------------------------------------------------------------------------------------

const src = fileURLToPath(new URL("../src", import.meta.url))

const sources = readdirSync(src, { encoding: "utf8", recursive: true })
  .filter((path) => path.endsWith(".ts"))
  .sort()
  .map((path) => parse(path, readFileSync(`${src}/${path}`, "utf8")))

/** What a rule says of files that do not exist. */
const violations = (rule: Rule, files: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  rule(Object.entries(files).map(([path, text]) => parse(path, text)))

describe("the table", () => {
  it("only lets a room import from lower floors, so no circle of rooms is possible", () => {
    for (const [name, { floor, mayImport }] of Object.entries(rooms)) {
      for (const other of mayImport) assert.isBelow(rooms[other]!.floor, floor, `${name} may import ${other}`)
    }
  })
})

describe("src", () => {
  it("has files", () => assert.isNotEmpty(sources))
  it("has no room that the table does not know", () => assert.deepStrictEqual(knownRooms(sources), []))
  it("imports only along the rows of the table", () => assert.deepStrictEqual(roomTable(sources), []))
  it("leaves adapters to the one-liners and the program", () => assert.deepStrictEqual(adaptersApart(sources), []))
  it("stops third parties at the door", () => assert.deepStrictEqual(thirdParties(sources), []))
  it("has no import cycle at run time", () => assert.deepStrictEqual(noCycles(sources), []))
  it("has no import cycle, not by type either", () => assert.deepStrictEqual(noTypeCycles(sources), []))
  it("has small files", () => assert.deepStrictEqual(smallFiles(sources), []))
  it("has telling file names", () => assert.deepStrictEqual(tellingNames(sources), []))
  it("takes time and chance from the context", () => assert.deepStrictEqual(noOwnClock(sources), []))
})

describe("each rule can say no", () => {
  it("to an unknown room, and to a file outside any room", () =>
    assert.deepStrictEqual(violations(knownRooms, { "attic/Box.ts": "", "Loose.ts": "", "status/Code.ts": "" }), [
      "attic/Box.ts is in no room of the table",
      "Loose.ts is in no room of the table"
    ]))

  it("to a door that is not in the table, for types too", () =>
    assert.deepStrictEqual(
      violations(roomTable, {
        "retry/Retry.ts": `
          import * as Call from "../call/Call.ts"
          import type { Peer } from "../peer/Peer.ts"
          export type Pool = import("../balancer/PeerPool.ts").PeerPool
        `,
        "status/Code.ts": `export * from "../index.ts"`
      }),
      [
        "retry/Retry.ts imports peer/Peer.ts: retry/ may import call status",
        "retry/Retry.ts imports balancer/PeerPool.ts: retry/ may import call status",
        "status/Code.ts imports index.ts: status/ may import nothing"
      ]
    ))

  it("to an adapter in any other room", () =>
    assert.deepStrictEqual(
      violations(adaptersApart, {
        "channel/GrpcJsChannel.ts": `import * as GrpcJsConnector from "../grpcjs/GrpcJsConnector.ts"`,
        "testing/index.ts": `export * as GrpcJsServer from "../grpcjs/GrpcJsServer.ts"`
      }),
      ["testing/index.ts imports grpcjs/GrpcJsServer.ts: only channel/, cli/ and extend.ts may import an adapter"]
    ))

  it("to a third party past its door, and to one that is not a dependency", () =>
    assert.deepStrictEqual(
      violations(thirdParties, {
        "grpcjs/GrpcJsConnector.ts": `import * as Grpc from "@grpc/grpc-js"; import * as Net from "node:net"`,
        "balancer/Balancer.ts": `import { Effect } from "effect"; import type { Channel } from "@grpc/grpc-js"`,
        "discovery/FileDiscovery.ts": `import * as Fs from "node:fs"`,
        "status/ErrorDetails.ts": `import { fromBinary } from "@bufbuild/protobuf"`,
        "status/Code.ts": `const lodash = await import("lodash")`
      }),
      [
        "balancer/Balancer.ts imports @grpc/grpc-js: it stops at grpcjs/",
        "discovery/FileDiscovery.ts imports node:fs: it stops at grpcjs/ http2/ session/ socket/ registries/ discovery/NodeDns.ts debugpage/NodeDebugPage.ts cli/",
        "status/Code.ts imports lodash: not a dependency on record"
      ]
    ))

  it("to a cycle at run time, but not to one of types", () =>
    assert.deepStrictEqual(
      violations(noCycles, {
        "call/Call.ts": `import { b } from "./Deadline.ts"; import type { M } from "./Method.ts"`,
        "call/Deadline.ts": `export { c } from "./Metadata.ts"`,
        "call/Metadata.ts": `export * from "./Call.ts"`,
        "call/Method.ts": `import "./Call.ts"`
      }),
      ["call/Call.ts -> call/Deadline.ts -> call/Metadata.ts -> call/Call.ts"]
    ))

  it("to a cycle by type", () =>
    assert.deepStrictEqual(
      violations(noTypeCycles, {
        "call/Call.ts": `import type { D } from "./Deadline.ts"`,
        "call/Deadline.ts": `export type Of = import("./Call.ts").Call`,
        "call/Metadata.ts": `import type { Call } from "./Call.ts"`
      }),
      ["call/Call.ts -> call/Deadline.ts -> call/Call.ts"]
    ))

  it("to a large file, counting neither comments nor blank lines", () =>
    assert.deepStrictEqual(
      violations(smallFiles, {
        "call/Small.ts": "let a // said\n\n/**\n * said\n */\n// said\n".repeat(maxCodeLines),
        "call/Large.ts": "let a\n".repeat(maxCodeLines + 1)
      }),
      ["call/Large.ts has 351 code lines, more than 350"]
    ))

  it("to a name that says nothing", () =>
    assert.deepStrictEqual(violations(tellingNames, { "call/Utils.ts": "", "call/Call.ts": "" }), [
      "call/Utils.ts does not say what it answers"
    ]))

  it("to a clock or dice of one's own, but not to talk of them", () =>
    assert.deepStrictEqual(
      violations(noOwnClock, {
        "call/Deadline.ts": `// never Date.now()\nconst now = Date.now()\nconst f = async () => {}`,
        "grpcjs/GrpcJsConnector.ts": "setTimeout(f, 1)"
      }),
      ["call/Deadline.ts: const now = Date.now()", "call/Deadline.ts: const f = async () => {}"]
    ))
})
