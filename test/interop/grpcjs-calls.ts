/** The four kinds of call on a grpc-js client, awaited. */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import * as grpc from "@grpc/grpc-js"
import { definition, type MethodOf } from "./grpcjs-methods.ts"

/** What a call was answered with. */
export interface Answer<O> {
  readonly messages: ReadonlyArray<O>
  readonly headers: grpc.Metadata
  readonly trailers: grpc.Metadata
}

/** A call with many requests or many responses, by what it can be told. */
export interface Duplex<I, O> {
  readonly write: (request: I) => void
  readonly end: () => void
  readonly cancel: () => void
  /** Ends with the call; each response is given to `onMessage` when it comes. */
  readonly answer: Promise<Answer<O>>
}

export interface Options<O> {
  readonly metadata?: grpc.Metadata
  readonly deadline?: number
  readonly onMessage?: (message: O, index: number) => void
}

const callOptions = (deadline: number | undefined): grpc.CallOptions => (deadline === undefined ? {} : { deadline })

/** A call of any kind with its requests open; the wire does not tell the kinds apart. */
export const open = <I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: MethodOf<I, O>,
  options: Options<MessageShape<O>> = {}
): Duplex<MessageInitShape<I>, MessageShape<O>> => {
  const { path, requestSerialize, responseDeserialize } = definition(method)
  const call = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    options.metadata ?? new grpc.Metadata(),
    callOptions(options.deadline)
  )
  const messages: Array<MessageShape<O>> = []
  let headers = new grpc.Metadata()
  const ended = new Promise<void>((resolve) => void call.on("end", resolve))
  const answer = new Promise<Answer<MessageShape<O>>>((resolve, reject) => {
    call.on("metadata", (received) => (headers = received))
    call.on("data", (message: MessageShape<O>) => {
      messages.push(message)
      options.onMessage?.(message, messages.length - 1)
    })
    call.on("error", reject)
    call.on("status", ({ code, metadata: trailers }) => {
      if (code === grpc.status.OK) resolve(ended.then(() => ({ messages, headers, trailers })))
    })
  })
  // Whoever does not look at the answer does not mind how the call ended.
  answer.catch(() => {})
  return {
    write: (request) => void call.write(request),
    end: () => void call.end(),
    cancel: () => call.cancel(),
    answer
  }
}

/** Sends every request and waits for the end. */
export const exchange = <I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: MethodOf<I, O>,
  requests: ReadonlyArray<MessageInitShape<I>>,
  options?: Options<MessageShape<O>>
): Promise<Answer<MessageShape<O>>> => {
  const call = open(client, method, options)
  for (const request of requests) call.write(request)
  call.end()
  return call.answer
}

/** A unary call. */
export const unary = <I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: MethodOf<I, O>,
  request: MessageInitShape<I>,
  options: Options<MessageShape<O>> = {}
): Promise<Answer<MessageShape<O>>> =>
  new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = definition(method)
    let answer: { readonly message: MessageShape<O> | undefined } | undefined
    let headers = new grpc.Metadata()
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      options.metadata ?? new grpc.Metadata(),
      callOptions(options.deadline),
      (error, message) => (error === null ? (answer = { message }) : reject(error))
    )
    call.on("metadata", (received) => (headers = received))
    // Comes after the message.
    call.on("status", ({ metadata: trailers }) => {
      if (answer?.message !== undefined) resolve({ messages: [answer.message], headers, trailers })
    })
  })
