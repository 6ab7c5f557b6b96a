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
    const child = await startChild('workerd', findBinary(), args)
    return await startBaseline(child, port, signal)
  },
}

/** The wrapper package `workerd` is left out: it pulls in binaries for platforms that this benchmark does not know. */
function findBinary(): string {
  const platform = process.arch === 'x64' ? 'linux-64' : `linux-${process.arch}`
  return createRequire(import.meta.url).resolve(`@cloudflare/workerd-${platform}/bin/workerd`)
}
