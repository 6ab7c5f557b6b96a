import { execFile, type ExecFileOptions } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isHealthy, renderText } from '../../src/cli/doctor.ts'
import { dataDirFindings, descriptorFinding, type Finding } from '../../src/cli/server-findings.ts'
import { examineHost } from '../../src/sandbox/host-examination.ts'
import { probeSandboxes } from '../../src/sandbox/probe.ts'
import { Launched, type Ended } from './launched.ts'

const LAUNCHER = resolve(import.meta.dirname, '../../bin/anvoke.js')
const COMPILED = resolve(import.meta.dirname, '../../node_modules/.cache/anvoke')
const NOBODY = 65_534

const bwrapProbed = (await probeSandboxes()).find(({ driver }) => driver === 'bwrap')
const bwrapWorks = bwrapProbed?.works === true
const isRoot = process.getuid?.() === 0

interface Report {
  readonly ok: boolean
  readonly findings: readonly Finding[]
}

/** Runs a program that prints a report. */
function report(
  program: string,
  args: readonly string[],
  options: ExecFileOptions,
): Promise<{ code: unknown; report: Report }> {
  return new Promise((done, fail) => {
    execFile(program, [...args], { ...options, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (stdout === '') fail(new Error(`nothing was printed: ${stderr}`))
      else done({ code: error?.code ?? 0, report: JSON.parse(stdout) })
    })
  })
}

describe('anvoke doctor', () => {
  let cwd: string
  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'anvoke-doctor-'))
  })
  afterEach(async () => {
    await rm(cwd, { recursive: true })
  })

  const run = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    new Launched(['doctor', ...args], { cwd, environment }).ended

  test('tells about this host, ends with 0 exactly when functions can run isolated, and makes nothing', async () => {
    const { code, stdout, stderr } = await run(['--json'])
    expect(stderr).toBe('')
    const { ok, findings }: Report = JSON.parse(stdout)
    expect({ code, ok }).toEqual(bwrapWorks ? { code: 0, ok: true } : { code: 1, ok: false })
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'Node.js of the server',
        'sandbox bwrap',
        'sandbox process',
        'setpriv',
        'prlimit',
        'Node.js for functions',
        'Python for functions',
        'memory-backed directory',
        'file descriptors',
        'data directory',
        'room for data',
      ]),
    )
    expect(findings.find(({ name }) => name === 'sandbox bwrap')?.ok).toBe(bwrapWorks)
    const guards = bwrapProbed?.guards ?? []
    expect(findings).toEqual(
      expect.arrayContaining(guards.map(({ name, works }) => expect.objectContaining({ name, ok: works }))),
    )
    expect(guards.length > 0).toBe(bwrapWorks)
    expect(await readdir(cwd)).toEqual([])
  })

  test('says the same to people, a line for each finding and a sentence at the end', async () => {
    const { stdout } = await run([])
    const { stdout: json } = await run(['--json'])
    const { findings }: Report = JSON.parse(json)
    for (const { name } of findings) expect(stdout).toContain(`  ${name} `)
    expect(stdout).toMatch(
      bwrapWorks ? /\nFunctions can run isolated here/ : /\nFunctions cannot run isolated/,
    )
  })

  test('needs no PATH to find what the server finds', async () => {
    const named = async (environment: Record<string, string>): Promise<[string, boolean][]> => {
      const { findings }: Report = JSON.parse((await run(['--json'], environment)).stdout)
      return findings.map(({ name, ok }) => [name, ok])
    }
    expect(await named({ PATH: '' })).toEqual(await named({}))
  })

  // Only root may take another user id.
  test.runIf(isRoot)(
    'tries as the ordinary user it is run by, for whom the data directory is closed',
    async () => {
      await chmod(cwd, 0o755)
      await mkdir(join(cwd, 'closed'), { mode: 0o700 })
      await mkdir(join(cwd, 'home'))
      await chown(join(cwd, 'home'), NOBODY, NOBODY)
      const asNobody = (dataDir: string): Promise<{ code: unknown; report: Report }> =>
        report(process.execPath, [LAUNCHER, 'doctor', '--json', '--data', dataDir], {
          cwd: '/',
          uid: NOBODY,
          gid: NOBODY,
          env: { HOME: join(cwd, 'home'), NODE_COMPILE_CACHE: COMPILED },
        })
      const open = await asNobody(join(cwd, 'home', 'data'))
      const bwrap = open.report.findings.find(({ name }) => name === 'sandbox bwrap')
      expect(open.code).toBe(bwrap?.ok === true ? 0 : 1)
      expect(bwrap?.ok !== true || bwrap.detail.includes('run as the user of the server')).toBe(true)
      const closed = await asNobody(join(cwd, 'closed', 'data'))
      expect(closed.code).toBe(1)
      const data = closed.report.findings.find(({ name }) => name === 'data directory')
      expect(data).toMatchObject({ ok: false, required: true })
      expect(data?.fix).toContain('--data')
    },
  )

  // The host seen from a sandbox in which its programs are hidden; without bwrap there is nothing to hide them with.
  test.runIf(bwrapWorks)('ends with 1 on a host with nothing installed, and says what to type', async () => {
    const view = ['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--bind', cwd, cwd]
    const hidden = ['/usr/bin', '/usr/sbin', '/usr/local/bin'].flatMap((dir) => ['--tmpfs', dir])
    const command = [process.execPath, LAUNCHER, 'doctor', '--json', '--data', join(cwd, 'data')]
    const environment = { HOME: cwd, TMPDIR: cwd, NODE_COMPILE_CACHE: join(cwd, 'compiled') }
    const { code, report: found } = await report('/usr/bin/bwrap', [...view, ...hidden, '--', ...command], {
      env: environment,
    })
    expect(code).toBe(1)
    expect(found.ok).toBe(false)
    const fixOf = (wanted: string): string | undefined =>
      found.findings.find(({ name, ok }) => name === wanted && !ok)?.fix
    expect(fixOf('sandbox bwrap')).toMatch(/install.* bubblewrap|add bubblewrap|-S .*bubblewrap/)
    expect(fixOf('prlimit')).toContain('util-linux')
    expect(fixOf('Python for functions')).toContain('python')
  })

  test('ends with 1 for an interpreter that is named and cannot be used, and goes on looking', async () => {
    await writeFile(join(cwd, 'snake'), 'no program')
    const { code, stdout } = await run(['--json', '--python-path', 'snake'])
    const { findings }: Report = JSON.parse(stdout)
    expect(code).toBe(1)
    expect(findings.find(({ name }) => name === 'Python for functions')).toMatchObject({
      ok: false,
      required: true,
      detail: `'${join(cwd, 'snake')}' is not a program`,
      fix: 'name another with --python-path, or none',
    })
    expect(findings.at(-1)?.name).toBe('room for data')
  })

  test('ends with 2 for settings that cannot be used', async () => {
    const { code, stdout, stderr } = await run(['--json', '--max-instances', 'many'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('maxInstances cannot be used')
  })

  test('ends with 1 where no temporary directory can be written', async () => {
    const { code, stdout } = await run(['--json'], { TMPDIR: '/proc/none' })
    const { findings }: Report = JSON.parse(stdout)
    expect(code).toBe(1)
    expect(findings.find(({ name }) => name === 'temporary directory')).toMatchObject({
      ok: false,
      fix: expect.stringContaining('TMPDIR'),
    })
  })

  test('tells of every launcher that is not where the server looks', async () => {
    const findings = await examineHost({}, { programDirs: [cwd] })
    const missing = findings.filter(({ ok }) => !ok).map(({ name, required }) => [name, required])
    expect(missing).toEqual(
      expect.arrayContaining([
        ['sandbox bwrap', true],
        ['setpriv', false],
        ['prlimit', false],
      ]),
    )
    expect(findings.find(({ name }) => name === 'sandbox bwrap')?.fix).toContain('bubblewrap')
  })
})

describe('findings about the server itself', () => {
  const limits = (soft: string): string => `Max open files            ${soft}              ${soft}   files\n`

  test('count the descriptors that connections and instances may need', () => {
    const wanted = { maxConnections: 1000, maxInstances: 100 }
    expect(descriptorFinding(wanted, limits('4096')).ok).toBe(true)
    const few = descriptorFinding(wanted, limits('1024'))
    expect(few).toMatchObject({ ok: false, required: false })
    expect(few.fix).toContain('ulimit -n 2256')
    expect(descriptorFinding(wanted, limits('unlimited')).ok).toBe(true)
  })

  test('advise closing a data directory that others can look into', async () => {
    const dir = await mkdtemp(join(tmpdir(), "anvoke doctor's-"))
    try {
      const access = (): Finding | undefined =>
        dataDirFindings(dir).find(({ name }) => name === 'data directory')
      expect(access()?.ok).toBe(true)
      await chmod(dir, 0o755)
      expect(access()).toMatchObject({ ok: false, required: false })
      const { fix = '' } = access() ?? {}
      await new Promise((done) => execFile('/bin/sh', ['-c', fix], done))
      expect(access()?.ok).toBe(true)
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  test('a finding that is only advice leaves a host healthy, one that is required does not', () => {
    const advice: Finding = { name: 'a', ok: false, required: false, detail: 'slow', fix: 'make it fast' }
    const missing: Finding = { ...advice, name: 'b', required: true }
    expect(isHealthy([advice])).toBe(true)
    expect(isHealthy([advice, missing])).toBe(false)
    expect(renderText([advice])).toMatch(
      /advice +a +slow\n +fix: make it fast\n\n.*one thing could be better/,
    )
    expect(renderText([advice, missing])).toMatch(/MISSING +b[^]*: b\./)
  })

  test('the last sentence tells what keeps functions from isolation apart from what keeps the server from starting', () => {
    const dataDir: Finding = { name: 'data directory', ok: false, required: true, detail: 'is a file' }
    const bwrap: Finding = { ...dataDir, name: 'sandbox bwrap' }
    const last = (findings: readonly Finding[]): string | undefined =>
      renderText(findings).trim().split('\n').at(-1)
    const stops = 'server with these settings does not start: data directory.'
    expect(last([dataDir])).toBe(`Functions can run isolated here, but a ${stops}`)
    expect(last([bwrap])).toBe('Functions cannot run isolated here: sandbox bwrap.')
    expect(last([bwrap, dataDir])).toBe(`Functions cannot run isolated here: sandbox bwrap. A ${stops}`)
  })
})
