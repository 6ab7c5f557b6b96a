import type { Socket } from 'node:net'
import type { Payload } from '../model/payload.ts'
import { EMPTY_PAYLOAD } from '../model/payload.ts'
import type { PayloadBudget } from './payload-budget.ts'

/** Frame types of `runtimes/protocol.md`. */
export const FRAME = {
  hello: 1,
  setup: 2,
  ready: 3,
  failed: 4,
  invoke: 5,
  result: 6,
  log: 7,
  loaded: 8,
} as const

const HEADER_BYTES = 12
const LENGTH_BYTES = 4
const REST_OF_HEADER_BYTES = HEADER_BYTES - LENGTH_BYTES
/** Largest frame; runtimes/protocol.md, Limits. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024
const MAX_META_BYTES = 65_535
/** Frames up to this size are joined into one write; larger payloads are written from where they are. */
const JOIN_BYTES = 16 * 1024
/** Results from this size on wait for room in the payload budget before they are read. */
const BUDGETED_BYTES = 256 * 1024

export interface Frame {
  readonly type: number
  readonly flag: number
  readonly callId: number
  /** Raw JSON; empty when the frame has none. */
  readonly meta: Buffer
  readonly payload: Payload
}

interface ChannelEvents {
  onFrame(frame: Frame): void
  /** Whether a large frame of this kind is due: one that nobody waits for must not take the budget. */
  expectsLarge(type: number, callId: number): boolean
  /** A frame that cannot be read: the other side is broken or hostile. */
  onBroken(reason: string): void
  /** The other side closed the socket. */
  onEnd(): void
}

interface Gathering {
  readonly type: number
  readonly flag: number
  readonly callId: number
  readonly metaLength: number
  readonly totalBytes: number
  readonly budgeted: boolean
  /** Whether the budget counts its bytes now. */
  held: boolean
  readonly chunks: Buffer[]
  missingBytes: number
}

/**
 * Frames over the socket of one instance.
 *
 * Writing is batched: {@link Channel.send} collects, {@link Channel.flush} hands everything collected to the kernel in one
 * call. Reading hands on slices of what the socket delivered; a frame that spans reads becomes a payload of several chunks.
 * Nothing is copied but small frames on their way out.
 */
export class Channel {
  readonly #socket: Socket
  readonly #events: ChannelEvents
  readonly #budget: PayloadBudget
  readonly #outgoing: Buffer[] = []
  #outgoingBytes = 0
  #rest: Buffer | undefined
  #gathering: Gathering | undefined
  #waitsForRoom = false
  #closed = false

  constructor(socket: Socket, budget: PayloadBudget, events: ChannelEvents) {
    this.#socket = socket
    this.#budget = budget
    this.#events = events
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', () => undefined) // 'close' follows and tells the same
    socket.on('close', () => {
      if (this.#closed) return
      this.close()
      this.#events.onEnd()
    })
  }

  /** Bytes sent that the other side has not let into the kernel yet. */
  get backlogBytes(): number {
    return this.#outgoingBytes + this.#socket.writableLength
  }

  /** Whether a large result is not read because the budget has no room for it. */
  get waitsForRoom(): boolean {
    return this.#waitsForRoom
  }

  /**
   * Collects a frame.
   *
   * @throws {RangeError} When `meta` has more than 65 535 bytes or the frame more than 64 MiB; nothing is collected then.
   */
  send(type: number, flag: number, callId: number, meta: string, payload: Payload): void {
    if (this.#closed) return
    const metaLength = Buffer.byteLength(meta)
    const length = REST_OF_HEADER_BYTES + metaLength + payload.byteLength
    if (metaLength > MAX_META_BYTES || length > MAX_FRAME_BYTES)
      throw new RangeError(`a frame of ${length} bytes with ${metaLength} bytes of meta`)
    const head = Buffer.allocUnsafe(HEADER_BYTES + metaLength)
    head.writeUInt32LE(length, 0)
    head[4] = type
    head[5] = flag
    head.writeUInt16LE(metaLength, 6)
    head.writeUInt32LE(callId, 8)
    head.write(meta, HEADER_BYTES)
    this.#outgoing.push(head)
    if (payload.byteLength > 0) for (const chunk of payload.chunks) this.#outgoing.push(chunk)
    this.#outgoingBytes += head.length + payload.byteLength
  }

  /** Hands what was collected to the kernel. */
  flush(): void {
    const { length } = this.#outgoing
    if (length === 0 || this.#closed) return
    const [only] = this.#outgoing
    if (length === 1 && only !== undefined) this.#socket.write(only)
    else if (this.#outgoingBytes <= JOIN_BYTES)
      this.#socket.write(Buffer.concat(this.#outgoing, this.#outgoingBytes))
    else {
      this.#socket.cork()
      for (const chunk of this.#outgoing) this.#socket.write(chunk)
      this.#socket.uncork()
    }
    this.#outgoing.length = 0
    this.#outgoingBytes = 0
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#outgoing.length = 0
    this.#outgoingBytes = 0
    this.#rest = undefined
    if (this.#gathering?.held === true) this.#budget.give(this.#gathering.totalBytes)
    this.#gathering = undefined
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    let data = chunk
    if (this.#rest !== undefined) {
      data = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    let offset = 0
    while (!this.#closed) {
      if (this.#gathering !== undefined) {
        offset = this.#gather(this.#gathering, data, offset)
        if (this.#gathering !== undefined) return
        continue
      }
      if (data.length - offset < HEADER_BYTES) {
        if (data.length > offset) this.#rest = data.subarray(offset)
        return
      }
      const length = data.readUInt32LE(offset)
      const metaLength = data.readUInt16LE(offset + 6)
      if (length > MAX_FRAME_BYTES || length < REST_OF_HEADER_BYTES + metaLength) {
        this.#events.onBroken(`a frame of ${length} bytes with ${metaLength} bytes of meta`)
        return
      }
      const type = data[offset + 4] ?? 0
      const flag = data[offset + 5] ?? 0
      const callId = data.readUInt32LE(offset + 8)
      const end = offset + LENGTH_BYTES + length
      const metaStart = offset + HEADER_BYTES
      if (end <= data.length) {
        const payloadStart = metaStart + metaLength
        offset = end
        this.#events.onFrame({
          type,
          flag,
          callId,
          meta: data.subarray(metaStart, payloadStart),
          payload: sliceOf(data, payloadStart, end),
        })
        continue
      }
      const totalBytes = length - REST_OF_HEADER_BYTES
      if (totalBytes >= BUDGETED_BYTES && !this.#events.expectsLarge(type, callId)) {
        this.#events.onBroken(
          `${totalBytes} bytes in a frame of type ${type} for call ${callId}, which waits for none`,
        )
        return
      }
      this.#gathering = {
        type,
        flag,
        callId,
        metaLength,
        totalBytes,
        budgeted: totalBytes >= BUDGETED_BYTES,
        held: false,
        chunks: [],
        missingBytes: totalBytes,
      }
      if (this.#gathering.budgeted) this.#waitForRoom(this.#gathering)
      offset = metaStart
    }
  }

  /** Takes what belongs to the frame being gathered; hands it on when it is whole. */
  #gather(frame: Gathering, data: Buffer, offset: number): number {
    const end = Math.min(data.length, offset + frame.missingBytes)
    if (end > offset) {
      frame.chunks.push(data.subarray(offset, end))
      frame.missingBytes -= end - offset
    }
    if (frame.missingBytes > 0) return end
    this.#gathering = undefined
    if (frame.held) this.#budget.give(frame.totalBytes)
    const { meta, payload } = splitMeta(frame.chunks, frame.metaLength, frame.totalBytes)
    this.#events.onFrame({ type: frame.type, flag: frame.flag, callId: frame.callId, meta, payload })
    return end
  }

  #waitForRoom(frame: Gathering): void {
    if (this.#budget.takeForResult(frame.totalBytes)) {
      frame.held = true
      return
    }
    this.#socket.pause()
    this.#waitsForRoom = true
    this.#budget.whenRoomForResult(frame.totalBytes, () => {
      this.#waitsForRoom = false
      if (this.#closed) {
        this.#budget.give(frame.totalBytes)
        return
      }
      frame.held = true
      this.#socket.resume()
    })
  }
}

function sliceOf(data: Buffer, start: number, end: number): Payload {
  return start === end ? EMPTY_PAYLOAD : { byteLength: end - start, chunks: [data.subarray(start, end)] }
}

function splitMeta(
  chunks: Buffer[],
  metaLength: number,
  totalBytes: number,
): { meta: Buffer; payload: Payload } {
  const [first] = chunks
  if (first !== undefined && first.length >= metaLength) {
    const rest =
      first.length > metaLength ? [first.subarray(metaLength), ...chunks.slice(1)] : chunks.slice(1)
    return {
      meta: first.subarray(0, metaLength),
      payload: { byteLength: totalBytes - metaLength, chunks: rest },
    }
  }
  const whole = Buffer.concat(chunks, totalBytes)
  return { meta: whole.subarray(0, metaLength), payload: sliceOf(whole, metaLength, totalBytes) }
}
