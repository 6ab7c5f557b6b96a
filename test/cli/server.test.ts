import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type fc2 from '@alicloud/fc2'
import { eventually } from '../sandbox/harness.ts'
import { zipOf } from '../helpers/zip.ts'
import { Launched } from './launched.ts'

const Fc2: typeof fc2 = createRequire(import.meta.url)('@alicloud/fc2')
/** Says that it has begun and waits to be released, by files in the directory that the event names. */
const LONG_CALL = `
const { existsSync, writeFileSync } = require('node:fs')
exports.handler = (event, context, callback) => {
  const directory = event.toString()
  writeFileSync(directory + '/begun', '')
  const timer = setInterval(() => {
    if (!existsSync(directory + '/release')) return
    clearInterval(timer)
    callback(null, 'done')
  }, 20)
}`
/** Of a database. */
const PAGE_BYTES = 4096
const ROOT_KEY = { ANVOKE_ACCESS_KEY_ID: 'my-key', ANVOKE_ACCESS_KEY_SECRET: 'my-own-secret' }

const systemNode = findOldNode()

describe('the server as it is started from the command line', () => {
  let cwd: string
  const started: Launched[] = []

  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'server-'))
  })
  afterEach(async () => {
    await Promise.all(started.splice(0).map((launched) => launched.kill()))
    // What a server that was killed had begun to compile may still be written.
    await rm(cwd, { recursive: true, maxRetries: 10 })
  })

  function start(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    node?: string,
  ): Launched {
    const launched = new Launched([...args, '--listen', '127.0.0.1:0'], {
      cwd,
      environment,
      ...(node === undefined ? {} : { node }),
    })
    started.push(launched)
    return launched
  }

  async function healthOf(url: string): Promise<number> {
    const response = await fetch(`${url}/healthz`)
    await response.arrayBuffer()
    return response.status
  }

  test('serve makes a key once, says where its secret is, and drains at SIGTERM', async () => {
    const ids: (string | undefined)[] = []
    for (let round = 0; round < 2; round += 1) {
      const server = start(['serve', '--data', 'data'])
      expect(await healthOf(await server.ready())).toBe(200)
      server.child.kill('SIGTERM')
      const { code, stdout, stderr } = await server.ended
      expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
      const kept: { accessKeyId: string; accessKeySecret: string } = JSON.parse(
        await readFile(join(cwd, 'data', 'credentials.json'), 'utf8'),
      )
      expect(stderr).toContain(
        `Access key   ${kept.accessKeyId} (secret in ${join(cwd, 'data', 'credentials.json')})`,
      )
      expect(stderr).not.toContain(kept.accessKeySecret)
      ids.push(kept.accessKeyId)
    }
    expect(ids[0]).toBe(ids[1])
  })

  test('serve never shows a secret that it was given', async () => {
    const server = start(['serve', '--data', 'data', '--log-level', 'debug'], ROOT_KEY)
    await server.ready()
    server.child.kill('SIGINT')
    const { code, stderr } = await server.ended
    expect(code).toBe(0)
    expect(stderr).toContain('my-key (secret as configured)')
    expect(stderr).not.toContain('my-own-secret')
  })

  test('serve tells a program in JSON lines that it is ready', async () => {
    const server = start(['serve', '--data', 'data', '--log-format', 'json'])
    while (!server.stderr.includes('"ready"')) await once(server.child.stderr!, 'data')
    server.child.kill('SIGTERM')
    const { stderr } = await server.ended
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line): Record<string, unknown> => JSON.parse(line))
    expect(events).toContainEqual(expect.objectContaining({ event: 'ready', host: '127.0.0.1' }))
    expect(events.slice(-2)).toMatchObject([
      { event: 'stopping', signal: 'SIGTERM' },
      { event: 'stopped', asyncRunsPutBack: 0 },
    ])
  })

  test.each(['auto', 'json'])(
    'says once that functions are not isolated, with the format %s',
    async (form) => {
      const server = start(['dev', '--sandbox', 'process', '--log-format', form])
      if (form === 'auto') await server.ready()
      else while (!/WITHOUT/.test(server.stderr)) await once(server.child.stderr!, 'data')
      server.child.kill('SIGTERM')
      const { stderr } = await server.ended
      expect(stderr.match(/WITHOUT isolation/g)).toHaveLength(1)
    },
  )

  test('says where the logs of functions are', async () => {
    const server = start(['serve', '--data', 'data'])
    await server.ready()
    expect(server.stderr).toContain(
      `Logs         ${join(cwd, 'data')}/logs/ACCOUNT/NAMESPACE/FUNCTION/current.jsonl`,
    )
  })

  test.each([
    ['serve', '--python-path', '/no/python3', /pythonPath .*\n {2}why {2}'\/no\/python3' does not exist/],
    ['dev', '--node-path', '/bin/true', /nodePath .*\n {2}why {2}'\/bin\/true' does not answer as Node\.js/],
  ])('%s refuses %s %s', async (command, flag, path, complaint) => {
    const { code, stdout, stderr } = await start([command, flag, path]).ended
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(complaint)
    expect(stderr).toMatch(/\n {2}fix .*ANVOKE_/)
    expect(await readdir(cwd)).toEqual([])
  })

  test('dev removes what it kept, unless a data directory is given', async () => {
    const ephemeral = start(['dev'])
    expect(await healthOf(await ephemeral.ready())).toBe(200)
    expect((await readdir(cwd)).filter((name) => name.startsWith('anvoke-dev-'))).toHaveLength(1)
    ephemeral.child.kill('SIGTERM')
    const { code, stderr } = await ephemeral.ended
    expect(code).toBe(0)
    expect(stderr).toContain('ephemeral, removed at exit')
    expect(stderr).toContain('anvoke-dev / anvoke-dev-secret')
    expect((await readdir(cwd)).filter((name) => name.startsWith('anvoke-dev-'))).toEqual([])

    const durable = start(['dev', '--data', 'kept'])
    await durable.ready()
    durable.child.kill('SIGTERM')
    expect((await durable.ended).stderr).toContain(join(cwd, 'kept'))
    expect(await readdir(join(cwd, 'kept'))).toContain('credentials.json')
  })

  test('dev removes what one that was killed has left, and nothing of one that runs', async () => {
    const dirs = async (): Promise<string[]> =>
      (await readdir(cwd)).filter((name) => name.startsWith('anvoke-dev-'))
    const doomed = start(['dev'])
    await doomed.ready()
    const [left = ''] = await dirs()
    doomed.child.kill('SIGKILL')
    await doomed.ended
    expect(await dirs()).toEqual([left])
    const living = start(['dev'])
    await living.ready()
    await eventually(async () => !(await dirs()).includes(left))
    const [own] = await dirs()
    const next = start(['dev'])
    await next.ready()
    expect(await dirs()).toHaveLength(2)
    expect(await dirs()).toContain(own)
    for (const { child } of [living, next]) child.kill('SIGTERM')
    await Promise.all([living.ended, next.ended])
    expect(await dirs()).toEqual([])
  })

  test('says what to do when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      const server = new Launched(['dev', '--listen', `127.0.0.1:${port}`], { cwd })
      const { code, stdout, stderr } = await server.ended
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(
        /cannot listen on 127\.0\.0\.1:\d+\n {2}why .*in use|another program.*\n {2}fix .*ANVOKE_LISTEN/,
      )
      const serve = new Launched(['serve', '--listen', `127.0.0.1:${port}`, '--data', 'data'], { cwd })
      expect((await serve.ended).code).toBe(1)
      // What failed has left nothing behind.
      expect(await readdir(cwd)).toEqual([])
    } finally {
      other.close()
      await once(other, 'close')
    }
  })

  test('says what to do when another server uses the data directory', async () => {
    const first = start(['serve', '--data', 'data'])
    await first.ready()
    const { code, stderr } = await start(['serve', '--data', 'data']).ended
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /data directory .*\/data cannot be used\n {2}why .*in use by another server\n {2}fix .*--data/,
    )
  })

  test.each([
    ['/proc/nowhere', /why {2}\/proc lies in a file system of the kernel \(proc\), which keeps no files\n/],
    ['/etc/passwd', /why {2}\/etc\/passwd is not a directory\n/],
    ['/etc/passwd/below', /why {2}\/etc\/passwd is not a directory\n/],
  ])('says why no data can be kept in %s, and nothing of permissions', async (dir, why) => {
    for (const command of ['serve', 'dev']) {
      const { code, stderr } = await start([command, '--data', dir]).ended
      expect(code).toBe(2)
      expect(stderr).toContain(`the data directory ${dir} cannot be used\n`)
      expect(stderr).toMatch(why)
      expect(stderr).toMatch(/\n {2}fix {2}choose another with --data or ANVOKE_DATA_DIR\n/)
    }
  })

  describe('with a data directory of a server that was there', () => {
    const database = (): string => join(cwd, 'data', 'anvoke.db')

    /** Where a table or an index begins, counted from 0. */
    function pageOf(name: string): number {
      using opened = new DatabaseSync(database(), { readOnly: true })
      const row = opened.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(name)
      return Number(row?.['rootpage']) - 1
    }

    async function startsAndStops(): Promise<void> {
      const server = start(['serve', '--data', 'data'])
      expect(await healthOf(await server.ready())).toBe(200)
      server.child.kill('SIGTERM')
      expect(await server.ended).toMatchObject({ code: 0 })
    }

    beforeEach(startsAndStops)

    test.each([
      [
        'in the middle',
        (): number => pageOf('sqlite_autoindex_definitions_1'),
        'database disk image is malformed',
      ],
      ['after its first page', (): number => 1, 'database disk image is malformed'],
      ['from its beginning', (): number => 0, 'file is not a database'],
    ])(
      'says what to do about a database that is overwritten %s, and so does doctor',
      async (_at, from, why) => {
        const page = from()
        const bytes = await readFile(database())
        await writeFile(
          database(),
          bytes.fill(0x5a, page * PAGE_BYTES, page > 1 ? (page + 1) * PAGE_BYTES : undefined),
        )
        const { code, signal, stderr } = await start(['serve', '--data', 'data']).ended
        expect({ code, signal }).toEqual({ code: 1, signal: null })
        expect(stderr).toContain(`anvoke: the database ${database()} is damaged\n  why  ${why}`)
        expect(stderr).toMatch(
          /\n {2}fix {2}restore .* from a backup; or move anvoke\.db and anvoke\.db-wal away: .*without/,
        )
        expect(stderr).not.toContain('can recover')
        const { code: judged, stdout } = await new Launched(['doctor', '--data', 'data'], { cwd }).ended
        expect(judged).toBe(1)
        expect(stdout).toMatch(/MISSING +database +.* is damaged: .*\n +fix: restore the data directory/)
        expect(stdout).toMatch(/does not start: database\./)

        await rename(database(), join(cwd, 'moved'))
        await startsAndStops()
      },
    )

    test('says while it serves that no new start mends a damaged database', async () => {
      const pages = ['tasks', 'task_payloads', 'deliveries', 'function_queues'].map(pageOf)
      const server = start(['serve', '--data', 'data'])
      await server.ready()
      const handle = await open(database(), 'r+')
      for (const page of pages)
        await handle.write(Buffer.alloc(PAGE_BYTES, 0x5a), 0, PAGE_BYTES, page * PAGE_BYTES)
      await handle.close()
      await new Launched(['queue', 'audit', '--data', 'data'], { cwd }).ended
      server.child.kill('SIGTERM')
      const { signal, stderr } = await server.ended
      expect(signal).toBe('SIGKILL')
      expect(stderr).toMatch(
        /the database is damaged; the server ends, and no new start mends it: .*docs\/operating\.md/,
      )
      expect(stderr).not.toContain('can recover')
    })

    test('refuses an empty database, which would be taken for a new one', async () => {
      await writeFile(database(), '')
      const { code, stderr } = await start(['serve', '--data', 'data']).ended
      expect(code).toBe(1)
      expect(stderr).toMatch(
        /why {2}.*anvoke\.db: is empty, though a server has kept data here .*\n {2}fix {2}restore/,
      )
      const { stdout } = await new Launched(['doctor', '--data', 'data'], { cwd }).ended
      expect(stdout).toMatch(/MISSING +database +.*is empty/)

      await rm(database())
      await startsAndStops()
    })

    test('doctor says that the database hangs together, and not while a server uses it', async () => {
      const told = async (): Promise<string> =>
        (await new Launched(['doctor', '--data', 'data'], { cwd }).ended).stdout
      const before = await readdir(join(cwd, 'data'))
      expect(await told()).toMatch(/ok +database +.*hangs together/)
      expect(await readdir(join(cwd, 'data'))).toEqual(before)
      const server = start(['serve', '--data', 'data'])
      await server.ready()
      expect(await told()).toMatch(/ok +database +.*in use by a server/)
      server.child.kill('SIGTERM')
      await server.ended
    })
  })

  describe('with a call that goes on', () => {
    let server: Launched
    let called: Promise<string>

    /** Starts a server and a call of a function that ends when the file `release` appears. */
    async function startCall(node?: string, headers = {}, flags: readonly string[] = []): Promise<void> {
      server = start(['dev', '--sandbox', 'process', ...flags], {}, node)
      const client = new Fc2('1234567890123456', {
        accessKeyID: 'anvoke-dev',
        accessKeySecret: 'anvoke-dev-secret',
        region: 'local',
        endpoint: await server.ready(),
      })
      await client.createService('tests')
      const zipFile = (await zipOf({ 'index.js': LONG_CALL })).toString('base64')
      await client.createFunction('tests', {
        functionName: 'long',
        runtime: 'nodejs20',
        handler: 'index.handler',
        memorySize: 128,
        timeout: 60,
        code: { zipFile },
      })
      called = client.invokeFunction('tests', 'long', cwd, headers).then(
        ({ data }: { data: unknown }) => String(data),
        () => 'cut off',
      )
      await expect.poll(() => existsSync(join(cwd, 'begun')), { timeout: 20_000 }).toBe(true)
    }

    test('says how many runs of asynchronous calls it puts back', async () => {
      await startCall(undefined, { 'X-Fc-Invocation-Type': 'Async' }, ['--shutdown-grace-seconds', '1'])
      server.child.kill('SIGTERM')
      const { code, stderr } = await server.ended
      expect(code).toBe(0)
      expect(stderr).toMatch(/stopping waits for what is under way.*"asyncRuns":1/)
      expect(stderr).toMatch(/"stopped","asyncRunsPutBack":1\b/)
    })

    /** Resolves when the server has taken notice of a signal. */
    async function stopping(): Promise<void> {
      await expect.poll(() => server.stderr, { timeout: 20_000 }).toContain('"stopping"')
    }

    /** Signals until the server has ended: what comes right after the first signal counts as the first. */
    async function insist(signal: NodeJS.Signals): Promise<void> {
      const repeat = setInterval(() => server.child.kill(signal), 100)
      await server.ended
      clearInterval(repeat)
    }

    test('lets it end after two signals at once, as `timeout` and systemd send them', async () => {
      await startCall()
      server.child.kill('SIGTERM')
      server.child.kill('SIGHUP')
      await stopping()
      await writeFile(join(cwd, 'release'), '')
      expect(await called).toBe('done')
      expect(await server.ended).toMatchObject({ code: 0 })
    })

    test('lets it end after one signal', async () => {
      await startCall()
      server.child.kill('SIGTERM')
      await stopping()
      await writeFile(join(cwd, 'release'), '')
      expect(await called).toBe('done')
      expect(await server.ended).toMatchObject({ code: 0 })
    })

    test.each([
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const)('cuts it off after a second %s, with %d', async (signal, code) => {
      await startCall()
      server.child.kill(signal)
      await stopping()
      await insist(signal)
      expect(await server.ended).toMatchObject({ code, signal: null })
      expect(await called).toBe('cut off')
    })

    test.skipIf(systemNode === undefined)(
      'takes a signal that reaches both launcher and server for one',
      async () => {
        await startCall(systemNode)
        const launcher = server.child.pid ?? 0
        const [program] = (await readFile(`/proc/${launcher}/task/${launcher}/children`, 'utf8')).split(' ')
        server.child.kill('SIGINT')
        await stopping()
        process.kill(Number(program), 'SIGINT')
        await writeFile(join(cwd, 'release'), '')
        expect(await called).toBe('done')
        expect(await server.ended).toMatchObject({ code: 0 })
      },
    )

    test.skipIf(systemNode === undefined)('is cut off by a second signal to its launcher', async () => {
      await startCall(systemNode)
      server.child.kill('SIGINT')
      await stopping()
      await insist('SIGINT')
      expect(await server.ended).toMatchObject({ code: 130, signal: null })
      expect(await called).toBe('cut off')
    })
  })

  test.skipIf(systemNode === undefined)(
    'runs from a Node.js that is too old, with signals and exit codes',
    async () => {
      const server = start(['serve', '--data', 'data'], {}, systemNode)
      expect(await healthOf(await server.ready())).toBe(200)
      server.child.kill('SIGTERM')
      expect(await server.ended).toMatchObject({ code: 0, signal: null })
      expect(await start(['serve', '--max-calls', '0'], {}, systemNode).ended).toMatchObject({ code: 2 })
    },
  )

  test.skipIf(systemNode === undefined)('leaves no server behind when its launcher is killed', async () => {
    const server = start(['serve', '--data', 'data'], {}, systemNode)
    await server.ready()
    server.child.kill('SIGKILL')
    // The pipes close when the last process that holds them is gone.
    await server.ended
    const next = start(['serve', '--data', 'data'], {}, systemNode)
    expect(await healthOf(await next.ready())).toBe(200)
  })
})

/** A Node.js of this machine that the program does not run on itself; undefined when there is none. */
function findOldNode(): string | undefined {
  const candidates = (process.env['PATH'] ?? '').split(':').map((dir) => join(dir, 'node'))
  return [...candidates, '/usr/bin/node', '/usr/local/bin/node'].find((node) => {
    if (!existsSync(node)) return false
    const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
    const major = Number(/^v(\d+)\./.exec(stdout)?.[1])
    return major >= 18 && major < 24
  })
}
