import type { IncomingMessage } from 'node:http'
import { EngineError } from '../model/errors.ts'
import { EMPTY_PAYLOAD, payloadOf, type Payload } from '../model/payload.ts'

/**
 * So many chunks in a row become one: a body sent in tiny pieces would otherwise cost many times the memory that the
 * budget counts. A body of 32 MiB in reads of 64 KiB just reaches it, and then costs one copy.
 */
const MERGED_CHUNKS = 512

/** Bodies up to this size are looked for in one piece: what a socket is read with at once. */
const AT_ONCE_BYTES = 64 * 1024

/** Settled: whoever waits for it goes on when what the parser has is handed over, mostly before it says that the message is complete. */
const PARSED = Promise.resolve()

const NO_BODY = Promise.resolve(EMPTY_PAYLOAD)

/** Counts the bytes of requests in flight; implemented by the engine's payload budget. */
export interface RequestBudget {
  readonly limitBytes: number
  /** Whether so many more bytes fit; if so they are held. */
  takeForRequest(bytes: number): boolean
}

/**
 * Reads one request's body within a limit and the budget of all bodies.
 *
 * A body is refused at the first sign that it is too long: its declared length, or the first byte over the limit. The rest
 * is then thrown away as it comes, never kept.
 */
export class BodyReader {
  readonly #request: IncomingMessage
  readonly #budget: RequestBudget
  #heldBytes = 0
  #isTakenAtOnce = false

  constructor(request: IncomingMessage, budget: RequestBudget) {
    this.#request = request
    this.#budget = budget
  }

  /** Held in the budget until the exchange gives them back, read or not. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Rejects with an {@link EngineError}: `caller/payload-too-large`, `caller/payload-budget-exceeded`, `caller/gone`. */
  read(limitBytes: number): Promise<Payload> {
    const { headers } = this.#request
    const declared = headers['content-length']
    const declaredBytes = declared === undefined ? undefined : Number(declared)
    if (declaredBytes === 0 || (declaredBytes === undefined && headers['transfer-encoding'] === undefined))
      return NO_BODY
    return declaredBytes !== undefined && declaredBytes <= AT_ONCE_BYTES
      ? this.#readSmall(limitBytes, declaredBytes)
      : this.#gather(limitBytes, declaredBytes)
  }

  /** A small body mostly comes with its head, and is there as soon as the parser goes on: no listeners then. */
  async #readSmall(limitBytes: number, declaredBytes: number): Promise<Payload> {
    await PARSED
    const request = this.#request
    if (request.destroyed || request.readableLength !== declaredBytes || declaredBytes > limitBytes)
      return await this.#gather(limitBytes, declaredBytes)
    this.#take(declaredBytes)
    this.#isTakenAtOnce = true
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- no encoding was set, and so many bytes are there
    return payloadOf(request.read(declaredBytes) as Buffer)
  }

  /** The answer has been written: lets the request end, as it does by itself where it was listened to. */
  finish(): void {
    if (this.#isTakenAtOnce) this.#request.read()
  }

  #take(bytes: number): void {
    if (!this.#budget.takeForRequest(bytes))
      throw new EngineError('caller/payload-budget-exceeded', { limitBytes: this.#budget.limitBytes })
    this.#heldBytes += bytes
  }

  /** @param declaredBytes When undefined, the budget learns of the bytes only as they come. */
  #gather(limitBytes: number, declaredBytes: number | undefined): Promise<Payload> {
    const request = this.#request
    const isUndeclared = declaredBytes === undefined
    return new Promise((resolve, reject) => {
      // Its 'close' may be over.
      if (request.destroyed) throw new EngineError('caller/gone', {})
      if (declaredBytes !== undefined) {
        if (declaredBytes > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
        this.#take(declaredBytes)
      }
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
        try {
          if (byteLength > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
          if (isUndeclared) this.#take(chunk.length)
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
}
