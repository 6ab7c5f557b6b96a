// Ends what a server leaves behind when it is killed. A program of its own, started by `Reaper`.
//
// Standard input is a pipe that only the server holds, with one order in JSON on each line. The end of the pipe means the
// server is gone.
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { sendKill } from '../child.ts'
import { endMarked } from './marks.ts'
import type { ReaperOrder } from './reaper.ts'

/** Over a tenth of a second: what the server was just about to start does not carry its mark yet. */
const CALM_PASSES = 8

const directories: string[] = []
const groups = new Map<string, number | undefined>()

const lines = createInterface({ input: process.stdin })

lines.on('line', (line) => {
  const order: ReaperOrder = JSON.parse(line)
  if ('directories' in order) directories.push(...order.directories)
  else if ('add' in order) groups.set(order.add, order.group)
  else groups.delete(order.remove)
})

lines.on('close', () => void cleanUp())

async function cleanUp(): Promise<void> {
  for (const group of groups.values()) if (group !== undefined) sendKill(-group)
  if (groups.size > 0) await endMarked(new Set(groups.keys()), CALM_PASSES)
  for (const path of directories)
    await rm(path, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined)
}
