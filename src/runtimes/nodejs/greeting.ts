import fs from 'node:fs'
import { CHANNEL_FD, FRAME, FRAME_HEADER_BYTES, PROTOCOL_VERSION } from './frames.ts'

/** Sends HELLO. Whatever is loaded behind it is loaded while the server answers. */
export function greet(): void {
  const meta = JSON.stringify({ runtimeVersion: process.versions.node })
  const hello = Buffer.alloc(FRAME_HEADER_BYTES + meta.length)
  hello.writeUInt32LE(hello.length - 4, 0)
  hello[4] = FRAME.hello
  hello[5] = PROTOCOL_VERSION
  hello.writeUInt16LE(meta.length, 6)
  hello.write(meta, FRAME_HEADER_BYTES, 'latin1')
  try {
    fs.writeSync(CHANNEL_FD, hello)
  } catch {
    // Nobody is there to be greeted any more.
    process.exit(0)
  }
}
