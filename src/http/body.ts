import type { IncomingMessage } from 'node:http'
import { EngineError } from '../model/errors.ts'
import { EMPTY_PAYLOAD, type Payload } from '../model/payload.ts'

/**
 * So many chunks in a row become one: a body sent in tiny pieces would otherwise cost many times the memory that the
 * budget counts. A body of 32 MiB in reads of 64 KiB just reaches it, and then costs one copy.
 */
const MERGED_CHUNKS = 512

/** Counts the bytes of requests in flight; implemented by the engine's payload budget. */
export interface RequestBudget {
  readonly limitBytes: number
  /** Whether so many more bytes fit; if so they are held. */
  takeForRequest(bytes: number): boolean
}

/** A body being read. `heldBytes` are held in the budget until the exchange gives them back, read or not. */
export interface BodyReader {
  readonly heldBytes: number
  read(limitBytes: number): Promise<Payload>
}

/**
 * Reads one request's body within a limit and the budget of all bodies.
 *
 * A body is refused at the first sign that it is too long: its declared length, or the first byte over the limit. The rest
 * is then thrown away as it comes, never kept.
 */
export function bodyReader(request: IncomingMessage, budget: RequestBudget): BodyReader {
  let heldBytes = 0
  const take = (bytes: number): void => {
    if (!budget.takeForRequest(bytes))
      throw new EngineError('caller/payload-budget-exceeded', { limitBytes: budget.limitBytes })
    heldBytes += bytes
  }
  return {
    get heldBytes() {
      return heldBytes
    },
    async read(limitBytes) {
      const declared = request.headers['content-length']
      const declaredBytes = declared === undefined ? undefined : Number(declared)
      if (declaredBytes === 0 || (declaredBytes === undefined && !('transfer-encoding' in request.headers)))
        return EMPTY_PAYLOAD
      if (declaredBytes !== undefined) {
        if (declaredBytes > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
        take(declaredBytes)
      }
      return gather(request, limitBytes, declaredBytes === undefined ? take : undefined)
    },
  }
}

function gather(
  request: IncomingMessage,
  limitBytes: number,
  take: ((bytes: number) => void) | undefined,
): Promise<Payload> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let byteLength = 0
    /** Chunks from here on have not been merged. */
    let mergedChunks = 0
    const refuse = (error: unknown): void => {
      chunks.length = 0
      request.off('data', onData).off('end', onEnd).off('close', onClose)
      reject(error instanceof Error ? error : new Error(String(error)))
    }
    const onData = (chunk: Buffer): void => {
      byteLength += chunk.length
      if (byteLength > limitBytes) {
        refuse(new EngineError('caller/payload-too-large', { limitBytes }))
        return
      }
      try {
        take?.(chunk.length)
      } catch (error) {
        refuse(error)
        return
      }
      chunks.push(chunk)
      if (chunks.length - mergedChunks < MERGED_CHUNKS) return
      const pieces = chunks.splice(mergedChunks)
      chunks.push(Buffer.concat(pieces))
      mergedChunks += 1
    }
    const onEnd = (): void => {
      request.off('close', onClose)
      resolve({ byteLength, chunks })
    }
    const onClose = (): void => refuse(new EngineError('caller/gone', {}))
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}
