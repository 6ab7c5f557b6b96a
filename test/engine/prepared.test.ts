import { fstatSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import { makeTicketFile } from '../../src/engine/ticket-file.ts'
import { Rig, type RigOptions } from '../helpers/engine-rig.ts'
import { TYPE, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

describe('a process that has to be prepared', () => {
  test('is set up only when it is prepared and has greeted, whichever comes last', async () => {
    for (const isPreparedLast of [true, false]) {
      const greeting = Promise.withResolvers<void>()
      const preparing = Promise.withResolvers<void>()
      await open({
        script: () => async (process) => {
          await greeting.promise
          await process.begin()
          process.ready()
          await process.serve((call) => process.answer(call))
        },
      })
      rig.sandbox.equip = (process) => {
        process.prepared = preparing.promise
      }
      const { ending } = rig.call(aVersion())
      const process = await rig.sandbox.process(0)
      for (const done of isPreparedLast ? [greeting, preparing] : [preparing, greeting]) {
        // Whatever was sent until now has had time to arrive.
        await new Promise((resolve) => setTimeout(resolve, 20))
        expect(process.setup).toEqual({})
        done.resolve()
      }
      expect(await ending).toBe('returned')
      expect(process.setup['handler']).toBe('index.handler')
      await rig.close()
    }
    await open()
  })

  test('that cannot be prepared is a failed start, told to the call with the reason', async () => {
    await open({ script: () => (process) => process.begin() })
    rig.sandbox.equip = (process) => {
      process.prepared = Promise.reject(new Error('the code could not be put in place'))
    }
    const { ending } = rig.call(aVersion())
    expect(await ending).toBe('platform/start-failed')
    expect(rig.endings).toEqual([{ kind: 'start-failed', reason: 'the code could not be put in place' }])
  })

  test('in time or not at all: the start timer runs until then', async () => {
    await open({ script: () => (process) => process.begin(), startTimeoutMs: 50 })
    rig.sandbox.equip = (process) => {
      process.prepared = new Promise(() => undefined)
    }
    expect(await rig.call(aVersion()).ending).toBe('platform/start-failed')
    expect(rig.endings).toEqual([{ kind: 'start-failed', reason: 'not prepared within 50 ms' }])
  })

  test('may greet only once', async () => {
    const twice: Script = (process) => {
      process.send(TYPE.hello, 1, 0)
      process.send(TYPE.hello, 1, 0)
      return Promise.resolve()
    }
    await open({ script: () => twice })
    rig.sandbox.equip = (process) => {
      process.prepared = new Promise(() => undefined)
    }
    expect(await rig.call(aVersion()).ending).toBe('platform/start-failed')
    expect(rig.endings).toEqual([{ kind: 'start-failed', reason: 'a frame of type 1 while starting' }])
  })
})

describe('a process with tickets of its own', () => {
  test('begins calls by them, and they are closed with its instance', async () => {
    await open()
    const files = [makeTicketFile(tmpdir())]
    const inode = (fd: number): bigint | undefined => {
      try {
        return fstatSync(fd, { bigint: true }).ino
      } catch {
        return undefined
      }
    }
    const inodes = files.flatMap(({ readFd, writeFd }) => [inode(readFd), inode(writeFd)])
    rig.sandbox.equip = (process) => {
      const [file] = files
      if (file !== undefined) process.tickets = file
    }
    const version = aVersion()
    expect(await rig.call(version).ending).toBe('returned')
    expect(rig.instance(0).state).toBe('idle')
    rig.pool.retire([version.id])
    await rig.until(() => rig.endings.length === 1)
    const now = files.flatMap(({ readFd, writeFd }) => [inode(readFd), inode(writeFd)])
    for (const [index, before] of inodes.entries()) expect(now[index]).not.toBe(before)
  })

  test('that cannot be filled is ended, and the call is told', async () => {
    await open()
    const file = { readFd: openSync('/dev/null', 'r'), writeFd: openSync('/dev/full', 'w') }
    rig.sandbox.equip = (process) => (process.tickets = file)
    await expect(rig.call(aVersion()).ending).resolves.toBe('platform/start-failed')
    expect((await rig.sandbox.process(0)).ended).toBe(true)
  })
})
