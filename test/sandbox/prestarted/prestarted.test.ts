import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { closeTicketFile, makeTicketFile } from '../../../src/engine/ticket-file.ts'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { sendKill } from '../../../src/sandbox/child.ts'
import { PrestartedSandbox, type PrestartedSettings } from '../../../src/sandbox/prestarted/driver.ts'
import { templateOf } from '../../../src/sandbox/prestarted/stem-class.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Mount, SandboxProcess, SandboxSpec, TicketFile } from '../../../src/sandbox/sandbox.ts'
import { memoryBackedDir } from '../../../src/sandbox/server-directory.ts'
import { figureOf, groupsOf } from '../cgroup/groups-of.ts'
import { eventually, hasPython, pidsWith, uniqueSleep, Workbench, zygotesWith } from '../harness.ts'

const working = (await probeSandboxes()).filter(({ works }) => works).map(({ driver }) => driver)
const isRoot = process.getuid?.() === 0
const MIB = 1024 * 1024
const tree = await CgroupTree.open()
await tree.close()
const sharesProcessors = tree.finding.controllers.has('cpu')

/** Greets, then does what it is told line by line; the first word of its command line tells it from everything else. */
const SERVANT = 'echo hello >&3; while read -r line <&3; do eval "$line" >&3 2>&1; echo . >&3; done'

/** A process that was started, as the engine talks to it. */
class Talk {
  readonly process: SandboxProcess
  readonly #lines: AsyncIterator<string>
  #greeting: string | undefined

  constructor(process: SandboxProcess) {
    this.process = process
    this.#lines = createInterface(process.channel)[Symbol.asyncIterator]()
  }

  /** What the shell prints for a line, once the process is prepared. */
  async ask(line: string): Promise<string> {
    await this.process.prepared
    this.#greeting ??= String((await this.#lines.next()).value)
    expect(this.#greeting).toBe('hello')
    this.process.channel.write(`${line}\n`)
    const said: string[] = []
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done === true || value === '.') return said.join('\n')
      said.push(value)
    }
  }
}

describe.each(working)('processes of the %s sandbox that were started ahead', (driver) => {
  let root: string
  let workbench: Workbench
  let sandbox: PrestartedSandbox
  let mark: string
  const tickets: SandboxProcess[] = []

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'anvoke-stems-test-'))
    workbench = new Workbench()
    mark = uniqueSleep()
    await open()
  })
  afterEach(async () => {
    await sandbox.close()
    for (const { tickets: file } of tickets.splice(0)) if (file !== undefined) closeTicketFile(file)
    workbench.close()
    rmSync(root, { recursive: true, force: true })
  })

  async function open(changes: Partial<PrestartedSettings> = {}): Promise<void> {
    sandbox = await PrestartedSandbox.open({
      driver: (await chooseSandbox(driver)).sandbox,
      dir: join(root, 'stems'),
      perClass: 2,
      makeTickets: () => makeTicketFile(memoryBackedDir()),
      ...changes,
    })
  }

  async function reopen(changes: Partial<PrestartedSettings>): Promise<void> {
    await sandbox.close()
    await open(changes)
  }

  /** Code of a function: one file with its name. */
  function packageOf(name: string): string {
    const path = join(root, `package-${name}`)
    if (existsSync(path)) return path
    mkdirSync(path)
    chmodSync(path, 0o755)
    writeFileSync(join(path, `${name}.txt`), `code of ${name}`, { mode: 0o644 })
    return path
  }

  function specOf(name: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
    const mounts: Mount[] = [{ source: packageOf(name), target: '/code', holdsCode: true }]
    return workbench.spec(['/bin/sh', '-c', SERVANT, mark], {
      functionId: `function-${name}`,
      mounts,
      workDir: '/code',
      ...changes,
    })
  }

  function start(spec: SandboxSpec): Talk {
    const process = sandbox.start(spec)
    tickets.push(process)
    return new Talk(process)
  }

  /** Resolves when as many processes as are wanted have greeted, and the code can be put in place. */
  async function expectReady(spec: SandboxSpec, count = 2): Promise<void> {
    sandbox.expect(templateOf(spec))
    await eventually(() => sandbox.counts.ready === count && linkedTrees() >= 2)
  }

  const linkedTrees = (): number =>
    ownDirs().flatMap((dir) => readdirSync(dir).filter((name) => name.startsWith('tree-'))).length
  const ownDirs = (): string[] => readdirSync(join(root, 'stems')).map((name) => join(root, 'stems', name))
  const slots = (): string[] =>
    ownDirs().flatMap((dir) => readdirSync(dir).filter((name) => name.startsWith('stem-')))

  test('are given to a start, and see its code where the specification says', async () => {
    await expectReady(specOf('a'))
    const talk = start(specOf('a'))
    expect(talk.process.tickets).toBeDefined()
    const place = talk.process.locate('/code')
    expect(await talk.ask(`cat ${place}/a.txt; echo; pwd`)).toBe(`code of a\n${place}`)
    expect(place.startsWith(root)).toBe(driver === 'process')
    expect(sandbox.counts).toMatchObject({ claims: 1, directStarts: 0 })
  })

  test('are looked at in passing like any other, where the kernel counts their memory', async () => {
    await expectReady(specOf('a'))
    const { process } = start(specOf('a'))
    await process.memory()
    expect(process.staysWithin?.(1e12) ?? false).toBe(process.limitsMemory === true)
    expect(process.staysWithin?.(1) ?? false).toBe(false)
  })

  test('are told to end like any other', async () => {
    await expectReady(specOf('a'))
    const talk = start(specOf('a'))
    await talk.ask("trap 'exit 4' TERM")
    await talk.process.terminate?.()
    expect(await talk.process.exited).toEqual({ kind: 'exited', exitCode: 4 })
  })

  test('share the ticket file that they bring with whoever claimed them', async () => {
    await expectReady(specOf('a'))
    const talk = start(specOf('a'))
    const file = talk.process.tickets
    if (file === undefined) throw new Error('it brings no tickets')
    expect(readlinkSync(`/proc/self/fd/${file.readFd}`)).toContain(`${memoryBackedDir()}/#`)
    writeFileSync(file.writeFd, 'xyz')
    expect(await talk.ask('dd bs=1 count=2 <&4 2>/dev/null; echo')).toBe('xy')
  })

  // Only groups of bwrap share out processors.
  test.runIf(driver === 'bwrap' && sharesProcessors)(
    'have a sixteenth of their part of the processors until they are given to a start, then all of it',
    async () => {
      await expectReady(specOf('a'))
      const weights = (): (number | undefined)[] =>
        pidsWith(mark)
          .map(groupsOf)
          .map((groups) => figureOf(groups, 'cpu.shares') ?? figureOf(groups, 'cpu.weight'))
      expect(weights().length).toBeGreaterThanOrEqual(2)
      expect(new Set(weights())).toEqual(new Set([16]))
      const talk = start(specOf('a'))
      await talk.ask('true')
      await eventually(() => weights().includes(256))
      const direct = start(specOf('a', { memoryMib: 512 }))
      await direct.ask('true')
      expect(weights()).toContain(512)
    },
  )

  test('of two functions see each its own code', async () => {
    await expectReady(specOf('a'))
    sandbox.expect(templateOf(specOf('b')))
    await eventually(() => linkedTrees() >= 4)
    const talks = [start(specOf('a')), start(specOf('b'))]
    const listings = await Promise.all(talks.map((talk) => talk.ask(`ls -A ${talk.process.locate('/code')}`)))
    expect(listings).toEqual(['a.txt', 'b.txt'])
    expect(sandbox.counts).toMatchObject({ claims: 2, directStarts: 0 })
  })

  // Without namespaces everything that the server's user may read is there.
  test.runIf(driver === 'bwrap')('of two functions find each other’s code nowhere', async () => {
    await expectReady(specOf('a'))
    sandbox.expect(templateOf(specOf('b')))
    await eventually(() => linkedTrees() >= 4)
    const [a, b] = [start(specOf('a')), start(specOf('b'))]
    const find = (name: string): string => `find / -name ${name}.txt 2>/dev/null`
    expect([await a.ask(find('a')), await b.ask(find('b'))]).toEqual(['/code/a.txt', '/code/b.txt'])
    expect([await a.ask(find('b')), await b.ask(find('a'))]).toEqual(['', ''])
    expect(sandbox.counts).toMatchObject({ claims: 2, directStarts: 0 })
  })

  // Without namespaces the slot is a plain directory, which the code may write to.
  test.runIf(driver === 'bwrap')(
    'cannot change their code, nor the file of the store behind it',
    async () => {
      const spec = specOf('a')
      const stored = join(packageOf('a'), 'a.txt')
      const before = statSync(stored)
      await expectReady(spec)
      const talk = start(spec)
      for (const attempt of [
        'echo x > /code/a.txt',
        'echo x > /code/new.txt',
        'rm /code/a.txt',
        'chmod 0600 /code/a.txt',
        'touch -d @0 /code/a.txt',
        'ln /code/a.txt /code/b.txt',
        'ln /code/a.txt /tmp/b.txt',
        'mount -o remount,rw /code',
      ])
        expect(await talk.ask(`(${attempt}) 2>/dev/null && echo done || echo refused`)).toBe('refused')
      const after = statSync(stored)
      expect(readFileSync(stored, 'utf8')).toBe('code of a')
      expect([after.ino, after.mode, after.uid, after.mtimeMs]).toEqual([
        before.ino,
        before.mode,
        before.uid,
        before.mtimeMs,
      ])
    },
  )

  // Only bwrap under root gives ids of the host.
  test.runIf(driver === 'bwrap' && isRoot)('have a user id of their own each', async () => {
    await expectReady(specOf('a'))
    const talks = [start(specOf('a')), start(specOf('a'))]
    const ids = await Promise.all(talks.map((talk) => talk.ask('id -u')))
    expect(sandbox.counts.claims).toBe(2)
    expect(new Set(ids).size).toBe(2)
    expect(ids).not.toContain('0')
  })

  test('see the tree of layers as well', async () => {
    const layered = specOf('a')
    const spec = {
      ...layered,
      mounts: [...layered.mounts, { source: packageOf('layer'), target: '/opt', holdsCode: true }] as const,
    }
    await expectReady(spec)
    await eventually(() => linkedTrees() >= 4)
    const talk = start(spec)
    const [code, layers] = ['/code', '/opt'].map((target) => talk.process.locate(target))
    expect(await talk.ask(`cat ${code}/a.txt ${layers}/layer.txt; echo`)).toBe('code of acode of layer')
    expect(sandbox.counts.claims).toBe(1)
  })

  test('are made again when they were taken', async () => {
    await expectReady(specOf('a'))
    await start(specOf('a')).ask('true')
    await eventually(() => sandbox.counts.ready === 2 && linkedTrees() >= 2)
    await start(specOf('a')).ask('true')
    expect(sandbox.counts.claims).toBe(2)
  })

  test('are not given to functions of another kind', async () => {
    await expectReady(specOf('a'))
    const other = start(specOf('a', { memoryMib: 512 }))
    expect(other.process.tickets).toBeUndefined()
    await other.ask('true')
    expect(sandbox.counts).toMatchObject({ claims: 0, directStarts: 1 })
    await eventually(() => sandbox.counts.ready === 4)
    await start(specOf('a', { memoryMib: 512 })).ask('true')
    expect(sandbox.counts.claims).toBe(1)
  })

  test('that have ended are not given to anybody, and are replaced', async () => {
    await expectReady(specOf('a'))
    for (const pid of pidsWith(mark)) sendKill(pid)
    await eventually(() => sandbox.counts.kept === 0)
    const direct = start(specOf('a'))
    expect(direct.process.tickets).toBeUndefined()
    await direct.ask('true')
    await eventually(() => sandbox.counts.ready === 2)
    await start(specOf('a')).ask('true')
    expect(sandbox.counts.claims).toBe(1)
    expect(slots().length).toBeLessThanOrEqual(3)
  })

  test('may be taken before they have greeted: nothing of the greeting is lost', async () => {
    const spec = specOf('a')
    sandbox.expect(templateOf(spec))
    // Whether it has greeted by then is a matter of milliseconds: mostly it has not.
    await eventually(() => sandbox.counts.kept >= 1 && linkedTrees() >= 2)
    const talk = start(spec)
    expect(await talk.ask('echo here')).toBe('here')
    expect(sandbox.counts.claims).toBe(1)
  })

  test('whose code cannot be put in place say so before anything is asked of them', async () => {
    await expectReady(specOf('a'))
    for (const dir of ownDirs())
      for (const name of readdirSync(dir))
        if (name.startsWith('tree-')) rmSync(join(dir, name), { recursive: true })
    const { process } = start(specOf('a'))
    await expect(process.prepared).rejects.toThrow('the code could not be put in place')
    process.kill()
    await process.exited
  })

  test('die like any other, with everything that was theirs', async () => {
    await expectReady(specOf('a'))
    const talk = start(specOf('a'))
    await talk.ask('true')
    const before = slots().length
    talk.process.kill()
    expect(await talk.process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    await eventually(() => slots().length < before || sandbox.counts.ready === 2)
    await eventually(() => slots().length === 2)
    const oom = start(specOf('a'))
    await oom.ask('true')
    oom.process.kill('outOfMemory')
    expect(await oom.process.exited).toEqual({ kind: 'outOfMemory' })
  })

  test('are none with a setting of 0', async () => {
    await reopen({ perClass: 0 })
    sandbox.expect(templateOf(specOf('a')))
    const talk = start(specOf('a'))
    expect(talk.process.tickets).toBeUndefined()
    expect(await talk.ask(`cat ${talk.process.locate('/code')}/a.txt; echo`)).toBe('code of a')
    expect(sandbox.counts).toEqual({ kept: 0, ready: 0, claims: 0, directStarts: 1 })
    expect(slots()).toEqual([])
  })

  test('are none while the host, or what limits the server, is short of memory', async () => {
    let asked = 0
    // One process may take 32 MiB: with it, less than a tenth would be left.
    let availableBytes = 131 * MIB
    await reopen({
      memoryRooms: () => {
        asked += 1
        return Promise.resolve([{ totalBytes: 1000 * MIB, availableBytes }])
      },
    })
    for (const times of [1, 2, 3]) {
      sandbox.expect(templateOf(specOf('a')))
      // Where one is made, it is there before memory is looked at for the next.
      await eventually(() => asked === times)
      await new Promise((resolve) => setImmediate(resolve))
      expect(sandbox.counts.kept).toBe(0)
    }
    availableBytes = 133 * MIB
    await expectReady(specOf('a'))
  })

  test('end when memory becomes short, and are made again when it is there again', async () => {
    let availableBytes = 500 * MIB
    await reopen({
      memoryRooms: () => Promise.resolve([{ totalBytes: 1000 * MIB, availableBytes }]),
      lookMs: 20,
    })
    await expectReady(specOf('a'))
    availableBytes = 99 * MIB
    await eventually(() => sandbox.counts.kept === 0 && pidsWith(mark).length === 0)
    const direct = start(specOf('a'))
    expect(direct.process.tickets).toBeUndefined()
    await direct.ask('true')
    availableBytes = 500 * MIB
    await eventually(() => sandbox.counts.ready === 2)
  })

  // Only bwrap has them, for Python of the host.
  test.runIf(driver === 'bwrap' && hasPython)(
    'end when memory becomes short together with the zygote that forked them',
    async () => {
      const forked = new Workbench('forked')
      onTestFinished(() => forked.close())
      const makeTickets = (): TicketFile => makeTicketFile(memoryBackedDir())
      let availableBytes = 500 * MIB
      await reopen({
        driver: (await chooseSandbox('bwrap', { zygotes: { codeRoots: [root], makeTickets } })).sandbox,
        memoryRooms: () => Promise.resolve([{ totalBytes: 1000 * MIB, availableBytes }]),
        lookMs: 20,
      })
      const { mounts, workDir } = specOf('a')
      const spec = forked.spec(['/bin/sh', '-c', SERVANT, mark], { workDir })
      await expectReady({ ...spec, mounts: [...spec.mounts, ...mounts] })
      expect(zygotesWith(mark)).toHaveLength(1)
      availableBytes = 99 * MIB
      await eventually(() => sandbox.counts.kept === 0 && pidsWith(mark).length === 0)
    },
  )

  test('end with the class that was asked for least lately, where there are too many', async () => {
    const ofMemory = (memoryMib: number): SandboxSpec => specOf('a', { memoryMib })
    await expectReady(ofMemory(64))
    for (const memoryMib of [65, 66, 67]) sandbox.expect(templateOf(ofMemory(memoryMib)))
    await eventually(() => sandbox.counts.ready === 8)
    sandbox.expect(templateOf(ofMemory(68)))
    await eventually(() => sandbox.counts.ready === 6)
    await eventually(() => sandbox.counts.ready === 8)
    expect(start(ofMemory(64)).process.tickets).toBeUndefined()
    await eventually(() => linkedTrees() >= 2)
    expect(start(ofMemory(68)).process.tickets).toBeDefined()
  })

  test('are gone with the sandbox: no process, no directory, no ticket file', async () => {
    const openTickets = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${memoryBackedDir()}/#`)
        } catch {
          return false
        }
      }).length
    const before = openTickets()
    await expectReady(specOf('a'))
    expect(pidsWith(mark).length).toBeGreaterThanOrEqual(2)
    const talk = start(specOf('a'))
    await talk.ask('true')
    await sandbox.close()
    expect(pidsWith(mark)).toEqual([])
    expect(readdirSync(join(root, 'stems'))).toEqual([])
    expect(openTickets()).toBe(before + 2)
    expect(sandbox.start(specOf('a')).tickets).toBeUndefined()
  })

  test('and their slots that a killed server left are removed by the next', async () => {
    await sandbox.close()
    const left = join(root, 'stems/of-a-killed-server/stem-1/0')
    mkdirSync(left, { recursive: true })
    writeFileSync(join(left, 'index.js'), '')
    await open()
    await eventually(() => !existsSync(join(root, 'stems/of-a-killed-server')))
  })
})
