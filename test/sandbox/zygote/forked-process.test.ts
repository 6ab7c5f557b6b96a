import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { beforeEach, describe, expect, test } from 'vitest'
import { TextTail } from '../../../src/sandbox/text-tail.ts'
import { ForkedProcess } from '../../../src/sandbox/zygote/forked-process.ts'
import type { ForkPids } from '../../../src/sandbox/zygote/messages.ts'
import { startOf } from '../harness.ts'

describe('a forked process whose numbers are those of others by the time that its zygote is heard', () => {
  let stranger: ChildProcess
  let strangerEnds: Promise<unknown>

  beforeEach(async () => {
    stranger = spawn('sleep', ['1000'], { stdio: 'ignore' })
    strangerEnds = once(stranger, 'exit')
    await once(stranger, 'spawn')
    return async () => {
      stranger.kill('SIGKILL')
      await strangerEnds
    }
  })

  function forked(): { process: ForkedProcess; end: (exitCode: number | undefined) => void } {
    const pid = stranger.pid ?? 0
    const start = startOf(pid) - 1
    const pids: ForkPids = { first: pid, firstStart: start, function: pid, functionStart: start }
    const stderr = new TextTail()
    stderr.end()
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const fork = {
      stdout: new PassThrough(),
      stderr,
      channel: new Socket(),
      tickets: { readFd: -1, writeFd: -1 },
      born: Promise.resolve(pids),
      hasten: () => undefined,
      ended: promise,
    }
    return { process: new ForkedProcess(fork, undefined, undefined), end: resolve }
  }

  test.each([
    ['killed', (process: ForkedProcess) => process.kill()],
    ['told to end', async (process: ForkedProcess) => await process.terminate()],
    ['lost with its zygote', () => undefined],
  ] as const)('sends them nothing when it is %s', async (_how, act) => {
    const { process, end } = forked()
    await act(process)
    end(undefined)
    await process.exited
    // Whatever was sent before this would have ended them.
    stranger.kill('SIGUSR1')
    expect(await strangerEnds).toEqual([null, 'SIGUSR1'])
  })
})
