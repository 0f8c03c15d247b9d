/** The soak cases of grpc-js's own client. */
import type * as grpc from "@grpc/grpc-js"
import { setTimeout } from "node:timers/promises"
import { TestService } from "../gen/interop_pb.ts"
import { unary } from "./grpcjs-calls.ts"
import { type Iteration, type Soak, verdict } from "./Soak.ts"
import { zeros } from "./vectors.ts"

const once = async (soak: Soak, client: grpc.Client): Promise<Iteration> => {
  const start = performance.now()
  const request = { responseSize: soak.responseSize, payload: zeros(soak.requestSize) }
  const deadline = Date.now() + soak.overallTimeoutMillis
  const problem = await unary(client, TestService.method.unaryCall, request, { deadline }).then(
    ({ messages }) => (messages[0]?.payload?.body.length === soak.responseSize ? undefined : "wrong payload size"),
    (error: Error) => error.message
  )
  return { millis: performance.now() - start, problem }
}

const soakOf = async (soak: Soak, call: () => Promise<Iteration>): Promise<void> => {
  const end = performance.now() + soak.overallTimeoutMillis
  const iterations: Array<Iteration> = []
  let started = 0
  const thread = async () => {
    while (started++ < soak.iterations) {
      if (performance.now() > end) throw new Error("out of time")
      iterations.push(await call())
      if (soak.minMillisBetweenCalls > 0) await setTimeout(soak.minMillisBetweenCalls)
    }
  }
  await Promise.all(Array.from({ length: soak.threads }, thread))
  const problem = verdict(soak, iterations)
  if (problem !== undefined) throw new Error(problem)
}

export const rpcSoak = (soak: Soak, client: grpc.Client): Promise<void> => soakOf(soak, () => once(soak, client))

/** Each call has a channel of its own. */
export const channelSoak = (soak: Soak, another: () => grpc.Client): Promise<void> =>
  soakOf(soak, async () => {
    const client = another()
    try {
      return await once(soak, client)
    } finally {
      client.close()
    }
  })
