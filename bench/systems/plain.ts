import { fileURLToPath } from 'node:url'
import { freePort, startChild } from '../process.ts'
import { startBaseline, type Server } from './system.ts'

const program = fileURLToPath(new URL('../servers/plain.js', import.meta.url))

/** `node:http` calling the handler in its own process, on the same Node as everything else: the yardstick. */
export const plain: Server = {
  name: 'plain',
  systems: ['plain'],
  async start(signal) {
    const port = await freePort()
    const child = await startChild('plain', process.execPath, [program, String(port)])
    return await startBaseline(child, port, signal)
  },
}
