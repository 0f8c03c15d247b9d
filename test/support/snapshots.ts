/** Snapshots to render, made of little. */
import type { Snapshot } from "trunkline/extend"

/** A peer that nothing is wrong with, unless something is said. */
export const peer = (facts?: Partial<Snapshot.Peer>): Snapshot.Peer => ({
  id: "10.0.0.1:50051",
  address: "10.0.0.1:50051",
  weight: 1,
  state: "Ready",
  since: 0,
  pending: 0,
  started: 0,
  succeeded: 0,
  failed: 0,
  answered: 0,
  answeredMillis: 0,
  recent: { calls: 0, errors: 0, share: 0, latencyMillis: null, latencies: [] },
  ...facts
})

export const pool = (facts?: Partial<Snapshot.Pool>): Snapshot.Pool => ({
  id: 1,
  target: "dns:///greeter:50051",
  picker: "PowerOfTwo",
  discovery: { updatedAt: 0 },
  peers: [peer()],
  ...facts
})

export const snapshot = (facts?: Partial<Snapshot.Snapshot>): Snapshot.Snapshot => ({
  version: 1,
  at: 60_000,
  intervalMillis: 1000,
  pools: [pool()],
  clients: [],
  multiEndpoints: [],
  ...facts
})
