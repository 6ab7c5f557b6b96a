import { createInterface } from 'node:readline'
import type { SandboxProcess } from '../../../src/sandbox/sandbox.ts'

/** Python that runs each line that it is sent and tells what it made of `told`. */
export const SERVANT = `
import os, socket, sys
lines = open(3, 'r+b', buffering=0, closefd=False)
while True:
    line = lines.readline()
    if not line:
        break
    names = globals()
    exec(line.decode().replace(';;', chr(10)), names)
    lines.write((str(names.pop('told', '')) + chr(10)).encode())
`

/** A process that runs {@link SERVANT}. */
export class Servant {
  readonly process: SandboxProcess
  readonly #lines: AsyncIterator<string>

  constructor(process: SandboxProcess) {
    this.process = process
    this.#lines = createInterface(process.channel)[Symbol.asyncIterator]()
  }

  /** @param source Python; `;;` ends a line. */
  async ask(source: string): Promise<string> {
    this.process.channel.write(`${source}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`it ended: ${JSON.stringify(await this.process.exited)}`)
    return value
  }
}
