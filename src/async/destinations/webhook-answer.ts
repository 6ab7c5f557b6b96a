import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'

/** An answer is read so far, and so long after its head, and no further: only its status counts. */
const ANSWER_BYTES = 64 * 1024
export const ANSWER_REST_MS = 1000
/** Informational answers (1xx) before the one that counts; after so many nothing else is expected to come. */
const INFORMATIONAL_ANSWERS = 16

/**
 * The status of the answer to a request, whatever becomes of the rest of the answer. With it, or with the error that keeps it from coming,
 * the request is destroyed, and so is a connection that the other side took for another protocol. It settles with the signal at the latest,
 * whatever the request does or does not say.
 *
 * @throws What the request fails with; an `AbortError` after the signal.
 */
export function statusOf(outgoing: ClientRequest, clock: Clock, signal: AbortSignal): Promise<number> {
  const answer = Promise.withResolvers<number>()
  let status: number | undefined
  let cancelRest = (): void => undefined
  const end = (error?: unknown): void => {
    cancelRest()
    signal.removeEventListener('abort', abort)
    if (status === undefined) answer.reject(error)
    else answer.resolve(status)
    outgoing.destroy()
  }
  const abort = (): void => end(new DOMException('too late', 'AbortError'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })

  outgoing.on('response', (response) => {
    status = response.statusCode ?? 0
    cancelRest = clock.after(ANSWER_REST_MS, end)
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES) end()
    })
    response.on('error', end)
    response.on('close', end)
  })
  outgoing.on('upgrade', ({ statusCode }: IncomingMessage, connection: Duplex) => {
    connection.destroy()
    status = statusCode ?? 0
    end()
  })
  let informational = 0
  outgoing.on('information', ({ statusCode }) => {
    informational += 1
    if (informational <= INFORMATIONAL_ANSWERS) return
    status = statusCode
    end()
  })
  outgoing.on('error', end)
  // Also a request that ends without an error, and without an answer, has ended.
  outgoing.on('close', () => end(new Error('the connection was closed without an answer')))
  return answer.promise
}
