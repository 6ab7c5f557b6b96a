import fs from 'node:fs'
import { Socket } from 'node:net'
import { setImmediate } from 'node:timers'
import {
  CHANNEL_FD,
  FRAME,
  FRAME_HEADER_BYTES,
  FrameReader,
  type FrameReceiver,
  MAX_LOG_PAYLOAD_BYTES,
  MAX_WAITING_LOG_BYTES,
} from './frames.ts'
import { errorCode } from './unknown.ts'

const SCRATCH_BYTES = 64 * 1024
/** Payloads up to this are copied into the scratch buffer: one write instead of two buffers. */
const COPIED_PAYLOAD_BYTES = 48 * 1024

interface WaitingBytes {
  bytes: Buffer
  readonly isLog: boolean
}

/**
 * The stream socket to the server.
 *
 * Writing is synchronous as long as the kernel takes everything, so a frame is on its way before {@link Channel.send}
 * returns, even when the code never lets the event loop turn again. What the kernel has no room for waits here in
 * order; the socket takes over the waiting part once the event loop turns.
 */
export class Channel {
  /** Called when frames had to wait and the last of them is with the kernel. */
  onIdle: () => void = () => {}
  readonly #socket: Socket
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  #waiting: WaitingBytes[] = []
  #waitingLogBytes = 0
  #droppedLogBytes = 0
  /** The socket holds part of the stream: nothing may be written beside it. */
  #handedOver = false
  #handOverPlanned = false
  readonly #gone: () => void

  /** @param gone Called once the server's end is closed or broken; it must end the process. */
  constructor(receiver: FrameReceiver, gone: () => void) {
    this.#gone = gone
    const reader = new FrameReader(receiver)
    const readBuffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    this.#socket = new Socket({
      fd: CHANNEL_FD,
      readable: true,
      writable: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes) => {
          reader.feed(readBuffer, bytes)
          return true
        },
      },
    })
    this.#socket.on('end', gone)
    this.#socket.on('close', gone)
    this.#socket.on('error', gone)
    this.#socket.resume()
  }

  /** Everything sent is with the kernel. */
  get idle(): boolean {
    return this.#waiting.length === 0 && !this.#handedOver
  }

  /** Sends one frame. `payload` as a string is sent as UTF-8; as a Buffer it must not change afterwards. */
  send(type: number, flag: number, callId: number, meta: string, payload?: Buffer | string): void {
    const scratch = this.#scratch
    let content = payload
    // A UTF-16 unit never takes more than three bytes.
    if (typeof content === 'string' && content.length * 3 > COPIED_PAYLOAD_BYTES)
      content = Buffer.from(content)
    const metaLength = meta === '' ? 0 : scratch.write(meta, FRAME_HEADER_BYTES)
    let end = FRAME_HEADER_BYTES + metaLength
    let apart: Buffer | undefined
    if (typeof content === 'string') {
      end += scratch.write(content, end)
    } else if (content !== undefined) {
      if (content.length <= COPIED_PAYLOAD_BYTES && content.length <= SCRATCH_BYTES - end) {
        end += content.copy(scratch, end)
      } else {
        apart = content
      }
    }
    scratch.writeUInt32LE(end - 4 + (apart === undefined ? 0 : apart.length), 0)
    scratch[4] = type
    scratch[5] = flag
    scratch.writeUInt16LE(metaLength, 6)
    scratch.writeUInt32LE(callId, 8)
    this.#transmit(end, apart, type === FRAME.log)
  }

  /** Sends text as LOG frames, or counts it as dropped while too much of it waits. */
  log(flag: number, callId: number, text: Buffer | string): void {
    if (this.#waitingLogBytes > 0) this.flush()
    if (this.#waitingLogBytes > MAX_WAITING_LOG_BYTES) {
      this.#droppedLogBytes += Buffer.byteLength(text)
      return
    }
    if (this.#droppedLogBytes > 0) this.#reportDropped(flag, callId)
    if (text.length * 3 <= MAX_LOG_PAYLOAD_BYTES) {
      this.send(FRAME.log, flag, callId, '', text)
      return
    }
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    for (let at = 0; at < bytes.length; at += MAX_LOG_PAYLOAD_BYTES) {
      if (this.#waitingLogBytes > MAX_WAITING_LOG_BYTES) {
        this.#droppedLogBytes += bytes.length - at
        return
      }
      this.send(FRAME.log, flag, callId, '', bytes.subarray(at, at + MAX_LOG_PAYLOAD_BYTES))
    }
  }

  /** Calls `then` as soon as everything sent is with the kernel. */
  whenIdle(then: () => void): void {
    this.flush()
    if (this.idle) then()
    else this.onIdle = then
  }

  /** Whether the socket alone keeps the event loop alive. */
  holdEventLoop(hold: boolean): void {
    if (hold) this.#socket.ref()
    else this.#socket.unref()
  }

  #reportDropped(flag: number, callId: number): void {
    const dropped = this.#droppedLogBytes
    this.#droppedLogBytes = 0
    this.send(FRAME.log, flag, callId, '', `[${dropped} bytes of log dropped: written faster than read]\n`)
  }

  #transmit(end: number, apart: Buffer | undefined, isLog: boolean): void {
    this.flush()
    let written = 0
    if (this.idle) {
      written = apart === undefined ? this.#write(this.#scratch, end) : this.#writeBoth(end, apart)
      if (written === end + (apart?.length ?? 0)) return
    }
    if (written < end) this.#enqueue(Buffer.from(this.#scratch.subarray(written, end)), isLog)
    if (apart !== undefined) {
      // A log chunk may be a view of a buffer that its writer uses again.
      const rest = apart.subarray(Math.max(0, written - end))
      this.#enqueue(isLog ? Buffer.from(rest) : rest, isLog)
    }
  }

  #enqueue(bytes: Buffer, isLog: boolean): void {
    this.#waiting.push({ bytes, isLog })
    if (isLog) this.#waitingLogBytes += bytes.length
    if (!this.#handOverPlanned) {
      this.#handOverPlanned = true
      setImmediate(() => {
        this.#handOverPlanned = false
        this.#handOver()
      })
    }
  }

  /** Writes what waits as far as the kernel takes it, unless the socket is at it. */
  flush(): void {
    while (!this.#handedOver) {
      const first = this.#waiting[0]
      if (first === undefined) return
      const length = first.bytes.length
      const written = this.#write(first.bytes, length)
      if (first.isLog) this.#waitingLogBytes -= written
      if (written < length) {
        first.bytes = first.bytes.subarray(written)
        return
      }
      this.#waiting.shift()
    }
  }

  #handOver(): void {
    if (this.#handedOver) return
    this.flush()
    const batch = this.#waiting
    if (batch.length === 0) {
      this.#drained()
      return
    }
    this.#waiting = []
    this.#handedOver = true
    let logBytes = 0
    this.#socket.cork()
    for (const { bytes, isLog } of batch) {
      if (isLog) logBytes += bytes.length
      this.#socket.write(bytes)
    }
    this.#socket.write('', () => {
      this.#handedOver = false
      this.#waitingLogBytes -= logBytes
      this.#handOver()
    })
    this.#socket.uncork()
  }

  #drained(): void {
    if (this.#droppedLogBytes > 0) this.#reportDropped(1, 0)
    if (this.idle) this.onIdle()
  }

  #write(bytes: Buffer, length: number): number {
    try {
      return fs.writeSync(CHANNEL_FD, bytes, 0, length)
    } catch (error) {
      return this.#refused(error)
    }
  }

  #writeBoth(end: number, apart: Buffer): number {
    try {
      return fs.writevSync(CHANNEL_FD, [this.#scratch.subarray(0, end), apart])
    } catch (error) {
      return this.#refused(error)
    }
  }

  #refused(error: unknown): 0 {
    if (errorCode(error) !== 'EAGAIN') this.#gone()
    return 0
  }
}
