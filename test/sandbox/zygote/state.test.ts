import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { probeSandboxes } from '../../../src/sandbox/probe.ts'
import { hasPython, type Ran, type Way } from '../harness.ts'
import { USERS } from '../users.ts'

const INSIDE = fileURLToPath(new URL('../seccomp/inside.ts', import.meta.url))
const STATE = readFileSync(new URL('programs/state.py', import.meta.url), 'utf8')
const ORDINARY = readFileSync(new URL('../seccomp/programs/ordinary.py', import.meta.url), 'utf8')
const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)
const isRoot = process.getuid?.() === 0

/** Places and their options. */
function mountsOf(state: { readonly mounts: readonly string[] }): [string, string[]][] {
  return state.mounts.map((mount) => {
    const [place = '', options = ''] = mount.split(' ')
    return [place, options.split(',')]
  })
}

/** Runs Python in a sandbox, in a process that executes nothing else before. */
async function inside(source: string, way: Way, asUser: readonly string[]): Promise<Ran> {
  const command = JSON.stringify(['-c', source])
  const [program, ...args] = [...asUser, process.execPath, INSIDE, command, way]
  // Nothing may go on when the test has given up.
  const options = {
    env: { PATH: process.env['PATH'] },
    cwd: '/',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  } as const
  const ran: Ran = JSON.parse((await promisify(execFile)(program, args, options)).stdout)
  expect(ran.stderr).toBe('')
  return ran
}

// Only root has groups to leave.
test.runIf(works && hasPython && isRoot)(
  'a Python process that is forked is in no group of the server',
  async () => {
    const { stdout } = await inside(STATE, 'forked', ['setpriv', '--groups', '0,64322', '--'])
    expect(JSON.parse(stdout).status.Groups.trim()).toBe('')
  },
)

// Needs a sandbox, and a Python in it.
describe.runIf(works && hasPython).each(USERS)('a Python process that is forked for %s', (user, asUser) => {
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  let forked: any
  // oxlint-disable-next-line typescript/no-explicit-any -- the same
  let started: any
  const seesRoot = isRoot && user === 'the user of the tests'

  beforeAll(async () => {
    const [one, other] = await Promise.all([
      inside(STATE, 'forked', asUser),
      inside(STATE, 'started', asUser),
    ])
    forked = JSON.parse(one.stdout)
    started = JSON.parse(other.stdout)
  })

  test('has no privileges and a filter of system calls', () => {
    const none = '0000000000000000'
    expect(forked.status).toMatchObject({
      CapInh: none,
      CapPrm: none,
      CapEff: none,
      CapAmb: none,
      CapBnd: none,
    })
    expect(forked.status).toMatchObject({ NoNewPrivs: '1', Seccomp: '2', Threads: '1' })
    expect(forked.status.Uid).toMatch(/^(7\d{5})\t\1\t\1\t\1$/)
    expect(forked.status.Gid).toBe(forked.status.Uid)
    // Only root can leave its groups.
    expect(forked.status.Groups.trim()).toBe(seesRoot ? '' : started.status.Groups.trim())
  })

  test('holds the descriptors 0 to 4 and no other', () => {
    // Stand-ins for strays of whoever started the tests are none of the zygote's.
    const open = Object.entries(forked.descriptors).filter(
      ([fd, link]) => Number(fd) < 3 || link !== '/dev/null',
    )
    expect(open.map(([fd]) => fd)).toEqual(['0', '1', '2', '3', '4'])
  })

  test('sees nothing of what its zygote sees for other processes', () => {
    expect(forked.hidden).toEqual([])
    expect(forked.mounts.filter((mount: string) => mount.startsWith('/anvoke/zygote'))).toEqual([])
    expect(forked.shared).toEqual([[], [], []])
  })

  test('has limits of its own', () => {
    expect(forked.limits.RLIMIT_CORE).toEqual([0, 0])
    expect(forked.limits).toEqual(started.limits)
  })

  test('may read its own part of /proc', () => {
    expect({ dumpable: forked.dumpable, clearRefs: forked.clearRefs }).toEqual({
      dumpable: 1,
      clearRefs: 'cleared',
    })
  })

  test('learns of the first process of its namespaces as little as any other', () => {
    expect(forked.environmentOfFirst).toMatch(/^(PermissionError|FileNotFoundError)$/)
    expect([forked.ownerOfFirst, forked.first]).toEqual([started.ownerOfFirst, started.first])
  })

  test('is in every other way like one that is started by itself', () => {
    /** What is not equal, with the reason: see the tests above. */
    const but = {
      descriptors: undefined,
      // Below its own places lie those of the zygote.
      mounts: undefined,
      // It is no child of a process that it can see.
      parent: 0,
    }
    expect(forked.parent).toBe(0)
    expect({ ...forked, ...but }).toEqual({ ...started, ...but })
    const closed = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus']
    const places = new Set([
      ...mountsOf(started).map(([place]) => place),
      '/etc/passwd',
      '/etc/group',
      ...closed,
    ])
    expect(mountsOf(forked).filter(([place]) => !places.has(place))).toEqual([])
  })

  test('may do nothing more in a place than one that is started by itself', () => {
    const looser = mountsOf(started).filter(([place, options]) =>
      mountsOf(forked).every(
        ([own, its]) => own !== place || !options.every((option) => its.includes(option)),
      ),
    )
    expect(looser).toEqual([])
  })

  test('does what programs in Python ordinarily do', async () => {
    expect((await inside(ORDINARY, 'forked', asUser)).stdout).toBe('done\n')
  })
})
