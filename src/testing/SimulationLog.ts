/**
 * What happened in a simulation, in columns: there may be millions of calls.
 */
import * as Code from "../status/Code.ts"

/** What stands for the server of a call that found none. */
export const nowhere = -1

export class Log {
  readonly servers: ReadonlyArray<string>
  /** When each attempt was sent, in that order, and the place of its server. Milliseconds since the beginning. */
  readonly attemptAt: Array<number> = []
  readonly attemptServer: Array<number> = []
  /** When each call began, in that order, whose it was, and when it ended: `NaN` as long as it has not. */
  readonly callAt: Array<number> = []
  readonly callClient: Array<number> = []
  readonly callEnd: Array<number> = []
  /** The status of each call, as a number, and the place of the server that it had last. */
  readonly callStatus: Array<number> = []
  readonly callServer: Array<number> = []
  /** Calls under way. */
  open = 0
  #closed = false

  constructor(servers: ReadonlyArray<string>) {
    this.servers = servers
  }

  attempt(now: number, server: number): void {
    this.attemptAt.push(now)
    this.attemptServer.push(server)
  }

  /** A call begins. Its number says which one it is when it ends. */
  begin(now: number, client: number): number {
    this.open++
    this.callAt.push(now)
    this.callClient.push(client)
    this.callEnd.push(NaN)
    this.callStatus.push(nowhere)
    return this.callServer.push(nowhere) - 1
  }

  end(call: number, now: number, status: Code.Status, server: number): void {
    if (this.#closed) return
    this.open--
    this.callEnd[call] = now
    this.callStatus[call] = Code.toNumber(status)
    this.callServer[call] = server
  }

  /** Nothing ends any more. */
  close(): void {
    this.#closed = true
  }
}
