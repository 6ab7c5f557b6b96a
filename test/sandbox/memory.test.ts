import { PassThrough } from 'node:stream'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { MemoryWatch } from '../../src/sandbox/memory.ts'
import type { MemoryUsage, SandboxExit, SandboxProcess } from '../../src/sandbox/sandbox.ts'

const LIMIT_BYTES = 1000
const LOOKS = 100
/** More than are looked at in a row. */
const PROCESSES = 100

/** A process whose memory is read only once it has been looked at in passing so often, and is too much then. */
class Watched implements SandboxProcess {
  readonly channel = new Socket()
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly #exit = Promise.withResolvers<SandboxExit>()
  readonly exited = this.#exit.promise
  looks = 0
  onLook: () => void = () => undefined
  looksAtFirstRead: number | undefined

  locate(target: string): string {
    return target
  }

  staysWithin(limitBytes: number): boolean {
    this.looks += 1
    this.onLook()
    return limitBytes === LIMIT_BYTES && this.looks < LOOKS
  }

  memory(): Promise<MemoryUsage> {
    this.looksAtFirstRead ??= this.looks
    return Promise.resolve({ currentBytes: LIMIT_BYTES + 1, peakBytes: LIMIT_BYTES + 1 })
  }

  kill(cause?: 'outOfMemory'): void {
    this.#exit.resolve(cause === undefined ? { kind: 'signalled', signal: 'SIGKILL' } : { kind: cause })
  }
}

test('the memory of a process is read when a look in passing does not tell that it is within its limit', async () => {
  const watch = new MemoryWatch(10)
  const watched = Array.from({ length: PROCESSES }, () => new Watched())
  let looked = 0
  let lookedAtFirstTurn: number | undefined
  for (const process of watched) {
    process.onLook = () => {
      if (looked === 0) setImmediate(() => (lookedAtFirstTurn = looked))
      looked += 1
    }
    watch.watch(process, LIMIT_BYTES)
  }
  for (const process of watched) {
    expect(await process.exited).toEqual({ kind: 'outOfMemory' })
    expect(process.looksAtFirstRead).toBe(LOOKS)
  }
  // Other work is not kept waiting until all have been looked at.
  expect(lookedAtFirstTurn).toBeLessThan(PROCESSES)
  watch.close()
})

test('and it is read at once for whoever wants a sample', async () => {
  const watch = new MemoryWatch(10)
  const process = new Watched()
  const samples: MemoryUsage[] = []
  watch.watch(process, LIMIT_BYTES, { wantsSample: () => true, onSample: (usage) => samples.push(usage) })
  await process.exited
  expect(process.looks).toBe(0)
  expect(samples).toHaveLength(1)
  watch.close()
})
