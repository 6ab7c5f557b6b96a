import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { freePort, startChild } from '../process.ts'
import { startBaseline, type Server } from './system.ts'

const config = fileURLToPath(new URL('../servers/workerd.capnp', import.meta.url))

/** Cloudflare's workerd running the handler in an isolate. */
export const workerd: Server = {
  name: 'workerd',
  systems: ['workerd'],
  async start(signal) {
    const port = await freePort()
    const args = ['serve', config, '--socket-addr', `http=127.0.0.1:${port}`]
    // The package's main export is the path of the binary for this platform; it has no types.
    const binary: { readonly default: string } = createRequire(import.meta.url)('workerd')
    const child = await startChild('workerd', binary.default, args)
    return await startBaseline(child, port, signal)
  },
}
