import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { SandboxExit, SandboxProcess } from './sandbox.ts'

/** @returns A process that never was: streams at their end and an exit that says why. */
export function notStarted(reason: string): SandboxProcess {
  const exit: SandboxExit = { kind: 'notStarted', reason }
  return {
    channel: new Socket().destroy(),
    stdout: Readable.from([]),
    stderr: Readable.from([]),
    exited: Promise.resolve(exit),
    locate: (target) => target,
    memory: () => Promise.resolve({ currentBytes: 0, peakBytes: 0 }),
    kill: () => undefined,
  }
}
