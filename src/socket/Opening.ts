/**
 * One attempt to open a socket that HTTP/2 can begin on, from the first step to the last.
 */
import { Result } from "effect"
import * as net from "node:net"
import { type Done, upgrade } from "./Upgrade.ts"
import { explain, problemOf, socketOf, type Way } from "./Way.ts"

/** Opens a socket. Returns what gives it up. */
export const open = (way: Way, done: Done): (() => void) => {
  let over = false
  const once: Done = (opened) => {
    if (over) return
    over = true
    done(opened)
  }
  const problem = problemOf(way)
  if (problem !== undefined) {
    once(Result.fail(problem))
    return () => {}
  }
  const failed = (error: unknown) => once(Result.fail(explain(way, "connect", error)))
  let socket: net.Socket
  try {
    socket = net.connect(socketOf(way)).setNoDelay(true)
  } catch (error) {
    // Addresses that Node will not even look at.
    failed(error)
    return () => {}
  }
  socket.on("error", failed)
  socket.once("connect", () => {
    socket.off("error", failed).on("error", () => {})
    upgrade(socket, way, once)
  })
  return () => {
    over = true
    socket.destroy()
  }
}
