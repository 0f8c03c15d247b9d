/** The service the tests call, served as the request says. */
import { Effect, Stream } from "effect"
import { Code, Handlers, RpcError } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"

/** Fails as the request says, or does nothing. */
const failing = (request: { readonly failCode: number; readonly text: string }) => {
  const code = Code.fromNumber(request.failCode)
  return code === "OK" ? Effect.void : Effect.fail(RpcError.make(code, request.text))
}

/** Serves the echo service under a name, so that a test can tell who answered. */
export const echoHandlers = (server: string) =>
  Handlers.make(EchoService, {
    echo: (request) =>
      Effect.gen(function* () {
        if (request.delayMillis > 0) yield* Effect.sleep(request.delayMillis)
        yield* failing(request)
        return { text: request.text, server, payload: request.payload }
      }),
    lookup: (request) => Effect.as(failing(request), { text: request.text, server }),
    expand: (request) =>
      Stream.range(0, request.count - 1).pipe(
        Stream.tap(() => (request.delayMillis > 0 ? Effect.sleep(request.delayMillis) : Effect.void)),
        Stream.map((index) => ({ text: request.text, index, server })),
        Stream.concat(Stream.fromEffectDrain(failing(request)))
      ),
    collect: (requests) =>
      requests.pipe(
        Stream.tap(failing),
        Stream.runFold(
          () => ({ text: "", index: 0 }),
          (sum, request) => ({
            text: sum.text + request.text,
            index: sum.index + 1
          })
        ),
        Effect.map((sum) => ({ ...sum, server }))
      ),
    chat: (requests) =>
      requests.pipe(
        Stream.tap(failing),
        Stream.map((request) => ({ text: request.text.toUpperCase(), server }))
      )
  })
