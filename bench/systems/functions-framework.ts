import { fileURLToPath } from 'node:url'
import { freePort, startChild } from '../process.ts'
import { startBaseline, type Server } from './system.ts'

const program = fileURLToPath(new URL('../servers/functions-framework.js', import.meta.url))

/** @google-cloud/functions-framework calling the handler in its own process. */
export const functionsFramework: Server = {
  name: 'functions-framework',
  systems: ['functions-framework'],
  async start(signal) {
    const port = await freePort()
    const child = await startChild('functions-framework', process.execPath, [program, String(port)])
    return await startBaseline(child, port, signal)
  },
}
