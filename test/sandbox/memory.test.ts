import { PassThrough } from 'node:stream'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { MemoryWatch } from '../../src/sandbox/memory.ts'
import type { MemoryUsage, SandboxExit, SandboxProcess } from '../../src/sandbox/sandbox.ts'

const LIMIT_BYTES = 1000
/** More than are taken in a row. */
const LOOKS = 100

/** A process whose memory is read only once it has been looked at in passing so often, and is too much then. */
class Watched implements SandboxProcess {
  readonly channel = new Socket()
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly #exit = Promise.withResolvers<SandboxExit>()
  readonly exited = this.#exit.promise
  looks = 0
  looksAtFirstRead: number | undefined

  locate(target: string): string {
    return target
  }

  staysWithin(limitBytes: number): boolean {
    this.looks += 1
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
  const watched = Array.from({ length: 40 }, () => new Watched())
  for (const process of watched) watch.watch(process, LIMIT_BYTES)
  for (const process of watched) {
    expect(await process.exited).toEqual({ kind: 'outOfMemory' })
    expect(process.looksAtFirstRead).toBe(LOOKS)
  }
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
