import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { childrenOf } from '../../../src/sandbox/proc.ts'
import { eventually } from '../harness.ts'
import { Conversation, TALKING } from './ask.ts'
import { PORTS, WEB } from './addresses.ts'
import { Lab, users, whyNot } from './lab.ts'

/** An address that the host has only while a process runs; of documentation, see the lab's. */
const LATER = '192.0.2.77'

async function monitorsOf(pid = 0): Promise<number[]> {
  return (await childrenOf(pid)).filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('\0monitor\0')
    } catch {
      return false
    }
  })
}

describe.runIf(whyNot === undefined).each(users)('addresses that the host gets later, with %s', (user) => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.restore())
  afterAll(() => lab.close())

  const later = ['glance', LATER, PORTS.control] as const

  async function talk(programs: object = {}): Promise<Conversation> {
    const conversation = new Conversation(lab.owner({ ...TALKING, ...programs }, user))
    expect(await conversation.ask(['http', WEB, PORTS.web])).toEqual({
      [`http ${WEB} ${PORTS.web}`]: `the world at ${WEB}`,
    })
    return conversation
  }

  async function untilBarred(conversation: Conversation): Promise<void> {
    await eventually(async () => Object.values(await conversation.ask(later))[0] === 'EPERM')
  }

  async function untilWatched(conversation: Conversation): Promise<number[]> {
    let monitors: number[] = []
    await eventually(async () => {
      monitors = await monitorsOf(conversation.owner.pid)
      // It listens once the kernel has its socket; groups are the fourth column.
      const sockets = readFileSync(`/proc/${conversation.owner.pid}/net/netlink`, 'latin1')
      return monitors.some((pid) => new RegExp(`^\\S+ +0 +${pid} +0*40 `, 'm').test(sockets))
    })
    return monitors
  }

  test('are barred in a process that runs, and stay so when the host loses them', async () => {
    const conversation = await talk()
    await untilWatched(conversation)
    lab.giveAddress(LATER)
    await untilBarred(conversation)
    lab.takeAddress(LATER)
    // The monitor tells of the next one after the loss.
    lab.giveAddress('192.0.2.78')
    await eventually(
      async () =>
        Object.values(await conversation.ask(['glance', '192.0.2.78', PORTS.control]))[0] === 'EPERM',
    )
    const answers = await conversation.ask(
      later,
      ['tcp', '127.0.0.1', PORTS.loopback],
      ['http', WEB, PORTS.web],
    )
    expect(Object.values(answers)).toEqual(['EPERM', 'ECONNREFUSED', `the world at ${WEB}`])
  })

  test('are barred although they come before the host is watched', async () => {
    const conversation = await talk()
    lab.giveAddress(LATER)
    await untilBarred(conversation)
  })

  test('are barred although what watches the host was ended', async () => {
    const conversation = await talk()
    for (const pid of await untilWatched(conversation)) process.kill(pid, 'SIGKILL')
    lab.giveAddress(LATER)
    await untilBarred(conversation)
  })

  test('end the process where they cannot be barred', async () => {
    const { programDirs, fail } = lab.failingBarriers()
    const conversation = await talk({ programDirs })
    await untilWatched(conversation)
    fail()
    lab.giveAddress(LATER)
    await once(conversation.owner, 'close')
  })

  test('are watched by nobody once the server is killed', async () => {
    const conversation = await talk()
    const monitors = await untilWatched(conversation)
    expect(monitors).toHaveLength(1)
    conversation.owner.kill('SIGKILL')
    await once(conversation.owner, 'close')
    await eventually(() => !monitors.some((pid) => existsSync(`/proc/${pid}`)))
  })
})
