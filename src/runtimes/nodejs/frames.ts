/** The numbers of `../protocol.md`: descriptors, frame types, flags and limits. */
export const PROTOCOL_VERSION = 1
export const CHANNEL_FD = 3
export const TICKETS_FD = 4

export const FRAME_HEADER_BYTES = 12
/** Of the header, what the length field itself counts. */
const COUNTED_HEADER_BYTES = 8
const MAX_FRAME_BYTES = 64 * 1024 * 1024
export const MAX_LOG_PAYLOAD_BYTES = 32 * 1024
export const MAX_WAITING_LOG_BYTES = 1024 * 1024

export const FRAME = Object.freeze({
  hello: 1,
  setup: 2,
  ready: 3,
  failed: 4,
  invoke: 5,
  result: 6,
  log: 7,
  loaded: 8,
})

export const FAILED_FLAG = Object.freeze({ load: 1, initializer: 2 })
export const RESULT_FLAG = Object.freeze({ returned: 0, threw: 1, handled: 2 })
export const LOG_FLAG = Object.freeze({ stdout: 1, stderr: 2 })

/** The exit status after a frame that cannot be read. */
export const EXIT_PROTOCOL_ERROR = 70

export interface FrameReceiver {
  /** `payload` belongs to the receiver: it is never written to again. */
  frame(type: number, flag: number, callId: number, meta: string, payload: Buffer): void
  /** All complete frames of one read were given. */
  batchEnd(): void
  /** The stream is not of this protocol. */
  malformed(): void
}

/**
 * Cuts a byte stream into frames.
 *
 * The chunks it is fed may be one reused buffer: what goes into a frame is copied, once.
 */
export class FrameReader {
  readonly #receiver: FrameReceiver
  readonly #header = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES)
  #headerBytes = 0
  #body: Buffer | undefined
  #bodyBytes = 0

  constructor(receiver: FrameReceiver) {
    this.#receiver = receiver
  }

  feed(chunk: Buffer, end: number): void {
    let at = 0
    while (at < end) {
      if (this.#body !== undefined) {
        at = this.#continueBody(this.#body, chunk, at, end)
      } else if (this.#headerBytes === 0 && end - at >= FRAME_HEADER_BYTES) {
        at = this.#readFrame(chunk, at, chunk, at + FRAME_HEADER_BYTES, end)
      } else {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, end - at)
        chunk.copy(this.#header, this.#headerBytes, at, at + taken)
        this.#headerBytes += taken
        at += taken
        if (this.#headerBytes === FRAME_HEADER_BYTES) at = this.#readFrame(this.#header, 0, chunk, at, end)
      }
      if (at < 0) return
    }
    this.#receiver.batchEnd()
  }

  /** A header is complete: gives out the frame, or starts to gather it. Returns the new position, −1 to stop. */
  #readFrame(header: Buffer, headerAt: number, chunk: Buffer, at: number, end: number): number {
    const length = header.readUInt32LE(headerAt)
    const metaLength = header.readUInt16LE(headerAt + 6)
    if (length > MAX_FRAME_BYTES || length < COUNTED_HEADER_BYTES + metaLength) {
      this.#receiver.malformed()
      return -1
    }
    const bodyLength = length - COUNTED_HEADER_BYTES
    if (end - at < bodyLength) {
      if (header !== this.#header) header.copy(this.#header, 0, headerAt, headerAt + FRAME_HEADER_BYTES)
      this.#headerBytes = FRAME_HEADER_BYTES
      this.#body = Buffer.allocUnsafe(bodyLength)
      this.#bodyBytes = chunk.copy(this.#body, 0, at, end)
      return end
    }
    this.#headerBytes = 0
    const payloadLength = bodyLength - metaLength
    const payload = Buffer.allocUnsafe(payloadLength)
    if (payloadLength > 0) chunk.copy(payload, 0, at + metaLength, at + bodyLength)
    this.#receiver.frame(
      header[headerAt + 4] ?? 0,
      header[headerAt + 5] ?? 0,
      header.readUInt32LE(headerAt + 8),
      metaLength === 0 ? '' : chunk.toString('utf8', at, at + metaLength),
      payload,
    )
    return at + bodyLength
  }

  #continueBody(body: Buffer, chunk: Buffer, at: number, end: number): number {
    const taken = chunk.copy(body, this.#bodyBytes, at, end)
    this.#bodyBytes += taken
    if (this.#bodyBytes === body.length) {
      const header = this.#header
      const metaLength = header.readUInt16LE(6)
      this.#body = undefined
      this.#headerBytes = 0
      this.#receiver.frame(
        header[4] ?? 0,
        header[5] ?? 0,
        header.readUInt32LE(8),
        body.toString('utf8', 0, metaLength),
        body.subarray(metaLength),
      )
    }
    return at + taken
  }
}
