import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page, QueueView, TaskDetailsView, TaskPageView } from '../../src/control/api.ts'
import { ACCOUNT } from '../helpers/server.ts'
import { Suite } from '../parity/alibaba-fc/clients.ts'
import { Launched, type Ended } from './launched.ts'

/** Fails when it is told to. */
const WORK = `exports.handler = async (event) => {
  console.log('ran ' + event)
  if (String(event).startsWith('fail')) throw new TypeError('as told')
  return 'done'
}`
/** Tells what becomes of a connection to the socket that the event names. */
const CONNECT = `exports.handler = (event, context, callback) => {
  const socket = require('net').connect(String(event))
  socket.on('connect', () => callback(null, 'connected')).on('error', (error) => callback(null, error.code))
}`
const LAUNCHER = fileURLToPath(new URL('../../bin/anvoke.js', import.meta.url))
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

let suite: Suite
let cwd: string

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'queue-'))
  suite = await Suite.start('ops')
})
afterAll(async () => {
  await suite?.server.close()
  await rm(cwd, { recursive: true })
})

/** Deploys a function whose failed calls are not repeated. */
async function deployWork(name: string, destination?: string): Promise<void> {
  await suite.deploy(name, WORK)
  await suite.fc2.putFunctionAsyncConfig('ops', name, undefined, {
    maxAsyncRetryAttempts: 0,
    ...(destination === undefined ? {} : { destinationConfig: { onFailure: { destination } } }),
  })
}

const launch = (
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> =>
  new Launched(args, { cwd, environment: { ANVOKE_DATA_DIR: suite.server.dataDir, ...environment } }).ended

async function queue(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await launch(['queue', ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

const queueJson = async <T>(...args: readonly string[]): Promise<T> =>
  JSON.parse(await queue(...args, '--json'))

const show = (name: string): Promise<QueueView> => queueJson('show', name)

/** Resolves once nothing of a function waits or runs. */
async function untilDone(name: string): Promise<QueueView> {
  for (;;) {
    const view = await show(name)
    if (view.waiting + view.running === 0) return view
  }
}

describe('anvoke queue', () => {
  test('pause holds calls back and resume lets them run', async () => {
    await deployWork('held')
    await deployWork('other')
    expect(await show('ops/held')).toMatchObject({ accepted: 0, isPaused: false })
    expect(await queue('pause', 'ops/held')).toMatch(/^state +paused/m)
    await suite.invokeAsync('held', 'one')
    await suite.invokeAsync('held', 'two')
    // Accepted later, and ended: what was held back would have begun before.
    await suite.invokeAsync('other', 'x')
    await untilDone('ops/other')
    expect(await show('ops/held')).toMatchObject({ waiting: 2, running: 0, isPaused: true })
    expect(await suite.log('held')).toBe('')
    expect(await queue('list')).toMatch(/^ops\/held +paused +2 +\d+ (?:ms|s) +0 +2 /m)
    expect(await queue('resume', 'ops/held')).toMatch(/^state +active/m)
    expect(await untilDone('ops/held')).toMatchObject({ succeeded: 2, duplicates: 0, imbalance: 0 })
  })

  test('a pause outlives the server', async () => {
    await deployWork('lasting')
    await queue('pause', 'ops/lasting')
    await suite.invokeAsync('lasting', 'x')
    await suite.server.stop()
    await suite.server.launch()
    expect(await show('ops/lasting')).toMatchObject({ isPaused: true, waiting: 1, running: 0 })
    await queue('resume', 'ops/lasting')
    expect(await untilDone('ops/lasting')).toMatchObject({ succeeded: 1 })
  })

  test('purge asks for --yes where it cannot ask, then cancels what waits and counts it', async () => {
    await deployWork('dropped')
    await queue('pause', 'ops/dropped')
    for (const event of ['1', '2', '3']) await suite.invokeAsync('dropped', event)
    const refused = await launch(['queue', 'purge', 'ops/dropped'])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/not confirmed\n {2}why {2}.*3 waiting calls.*\n {2}fix {2}add --yes/)
    expect(await show('ops/dropped')).toMatchObject({ waiting: 3, cancelled: 0 })
    expect(await queueJson('purge', 'ops/dropped', '--yes')).toEqual({ purged: 3, waiting: 0 })
    expect(await show('ops/dropped')).toMatchObject({ accepted: 3, waiting: 0, cancelled: 3, imbalance: 0 })
    await queue('resume', 'ops/dropped')
    expect(await suite.log('dropped')).toBe('')
    expect(await queue('purge', 'ops/dropped')).toBe('0 calls of ops/dropped cancelled; 0 wait now.\n')
  })

  test.each([
    ['y', 0, '1 call of ops/asked-y cancelled', 0],
    ['n', 1, 'nothing was done', 1],
  ])('purge asks at a terminal, and takes %s for an answer', async (answer, code, told, waiting) => {
    const name = `asked-${answer}`
    await deployWork(name)
    await queue('pause', `ops/${name}`)
    await suite.invokeAsync(name, 'x')
    const asked = await atTerminal(['queue', 'purge', `ops/${name}`], 'Go on?', `${answer}\n`)
    expect(asked.output).toContain('This cancels 1 waiting call')
    expect(asked.output).toContain(told)
    expect(asked.code).toBe(code)
    expect(await show(`ops/${name}`)).toMatchObject({ waiting })
  })

  test('redrive makes new calls of failed ones, each once, and says what caused them', async () => {
    await deployWork('again')
    const failed = [await suite.invokeAsync('again', 'fail 1'), await suite.invokeAsync('again', 'fail 2')]
    await suite.invokeAsync('again', 'well')
    expect(await untilDone('ops/again')).toMatchObject({ accepted: 3, failed: 2, succeeded: 1 })
    const redriven = await queue('redrive', 'ops/again')
    expect(redriven).toMatch(/^2 calls of ops\/again accepted anew\.\n(?: {2}\S+\n){2}$/)
    expect(await untilDone('ops/again')).toMatchObject({ accepted: 5, failed: 4, succeeded: 1, imbalance: 0 })
    const { items } = await queueJson<TaskPageView>('tasks', 'ops/again', '--status', 'failed')
    const caused = items.flatMap(({ causedBy }) => causedBy ?? [])
    expect(caused.toSorted()).toEqual(failed.toSorted())
    for (const causing of failed) expect(redriven).not.toContain(causing)
    const [latest] = items
    expect(redriven).toContain(`  ${latest?.requestId}\n`)
    const shown = await queueJson<TaskDetailsView>('task', latest?.requestId ?? '', '--event')
    expect(failed).toContain(shown.causedBy)
    expect(shown.event).toMatchObject({ text: expect.stringMatching(/^fail \d$/) })
    expect(shown.result?.logTail).toContain('ran fail')
  })

  test('redrive takes the calls that are named, or that ended in a time, and tells of those it cannot take', async () => {
    await deployWork('chosen')
    await queue('pause', 'ops/chosen')
    const ids = [await suite.invokeAsync('chosen', 'fail 1'), await suite.invokeAsync('chosen', 'fail 2')]
    await queue('resume', 'ops/chosen')
    await untilDone('ops/chosen')
    await queue('pause', 'ops/chosen')
    const ended = await queueJson<TaskPageView>('tasks', 'ops/chosen', '--order', 'oldest')
    const before = new Date(Math.min(...ended.items.map(({ endedAtMs = 0 }) => endedAtMs))).toISOString()
    expect(await queueJson('redrive', 'ops/chosen', '--ended-to', before)).toEqual({ items: [], left: [] })
    const [first = ''] = ids
    const named = await launch(['queue', 'redrive', 'ops/chosen', first, 'nobody', '--json'])
    expect(JSON.parse(named.stdout)).toEqual({
      items: [expect.objectContaining({ causedBy: first })],
      left: ['nobody'],
    })
    expect(named.code).toBe(1)
    expect(named.stderr).toMatch(/1 call cannot be accepted anew\n {2}why {2}nobody: /)
    const rest = await queueJson<{ items: object[] }>('redrive', 'ops/chosen', '--ended-from', before)
    expect(rest.items).toEqual([expect.objectContaining({ causedBy: ids[1] })])
  })

  test('redrive fills the room there is, and says that there is no more', async () => {
    await deployWork('narrow')
    for (const event of ['fail 1', 'fail 2', 'fail 3']) await suite.invokeAsync('narrow', event)
    await untilDone('ops/narrow')
    await queue('pause', 'ops/narrow')
    expect(await queue('limit', 'ops/narrow', '--max-tasks', '2')).toMatch(
      /2 calls, waiting and running \(set/,
    )
    const { code, stdout, stderr } = await launch(['queue', 'redrive', 'ops/narrow'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^2 calls of ops\/narrow accepted anew\.\n/)
    expect(stderr).toMatch(/no room for more\n {2}why {2}.*its limit is 2 calls/)
    await queue('limit', 'ops/narrow', '--max-tasks', 'default')
    expect(await queue('redrive', 'ops/narrow')).toMatch(/^1 call of ops\/narrow accepted anew\.\n {2}\S+\n$/)
  })

  test('limit bounds a function: what it has no room for is refused', async () => {
    await deployWork('small')
    await queue('limit', 'ops/small', '--max-tasks', '0', '--max-runs', '1')
    await expect(suite.invokeAsync('small', 'x')).rejects.toThrow('429')
    expect(await show('ops/small')).toMatchObject({ accepted: 0, maxTasks: 0, maxRuns: 1 })
    const none = await launch(['queue', 'limit', 'ops/small'])
    expect(none).toMatchObject({ code: 2, stdout: '' })
  })

  test('undelivered lists endings that could not be told', async () => {
    await deployWork('told', `acs:mns:cn-hangzhou:${ACCOUNT}:/queues/q/messages`)
    const requestId = await suite.invokeAsync('told', 'fail')
    await untilDone('ops/told')
    let page: Page<object> = { items: [] }
    while (page.items.length === 0) page = await queueJson('undelivered', 'ops/told', '--body')
    expect(page.items).toEqual([
      expect.objectContaining({
        requestId,
        status: 'undeliverable',
        lastError: 'target-unreachable',
        body: { text: expect.stringContaining(requestId) },
      }),
    ])
    expect(await queue('undelivered')).toMatch(new RegExp(`${requestId} +failure .*target-unreachable`))
    expect(await queue('task', requestId)).toMatch(
      /^told of failure +acs:mns:.*\nend told +undeliverable\n {2}tries +1\n {2}last reason +target-unreachable$/m,
    )
    expect(await queueJson('redeliver', 'ops/told', requestId)).toMatchObject({
      items: [{ requestId }],
      left: [],
    })
    page = { items: [] }
    while (page.items.length === 0) page = await queueJson('undelivered', 'ops/told')
    expect(page.items).toMatchObject([{ requestId, attempts: 1 }])
    const unknown = await launch(['queue', 'redeliver', 'ops/told', 'nobody'])
    expect(unknown).toMatchObject({ code: 1, stdout: '0 endings of ops/told are told again.\n' })
    expect(unknown.stderr).toMatch(/1 ending cannot be told again\n {2}why {2}nobody: /)
    await deployWork('untold')
    const nothing = await launch(['queue', 'undelivered', 'ops/untold'])
    expect(nothing).toMatchObject({ code: 0, stdout: '', stderr: 'Nothing is undeliverable.\n' })
  })

  test('audit finds every accepted call accounted for', async () => {
    expect(await queue('audit')).toContain('sound')
    expect(await queueJson('audit')).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
    const { items } = await queueJson<Page<QueueView>>('list')
    expect(items.length).toBeGreaterThan(1)
    for (const { accepted, waiting, running, succeeded, failed, expired, cancelled } of items)
      expect(accepted).toBe(waiting + running + succeeded + failed + expired + cancelled)
  })

  test('webhook-secret is what webhooks are signed with', async () => {
    const file = await readFile(join(suite.server.dataDir, 'credentials.json'), 'utf8')
    const { signingKey } = JSON.parse(file) as { signingKey: string }
    const hmac = (key: Buffer, of: string): Buffer => createHmac('sha256', key).update(of).digest()
    const key = hmac(hmac(Buffer.from(signingKey, 'base64'), 'webhooks'), ACCOUNT)
    const { code, stdout, stderr } = await launch(['webhook-secret'])
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: `whsec_${key.toString('base64')}\n`,
      stderr: '',
    })
    expect(suite.server.output).not.toContain(stdout.trim())
  })

  test('tells of a name that nobody knows which one is near, with exit code 4', async () => {
    await deployWork('known')
    const { code, stdout, stderr } = await launch(['queue', 'pause', 'ops/knwon'])
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toMatch(/no function ops\/knwon.*\n {2}fix {2}did you mean ops\/known\?/)
    expect(await launch(['queue', 'undelivered', 'ops/knwon'])).toMatchObject({ code: 4, stdout: '' })
    expect(await launch(['queue', 'task', 'nobody'])).toMatchObject({ code: 4, stdout: '' })
  })

  test.each([
    [['queue', 'show', 'no-slash']],
    [['queue', 'show', 'a/b/c']],
    [['queue', 'list', '--account', 'abc']],
    [['webhook-secret', '--account', 'abc']],
    [['queue', 'tasks', 'ops/held', '--ended-from', 'yesterday']],
    [['queue', 'redrive', 'ops/held', '--limit', '0']],
    [['queue', 'limit', 'ops/held', '--max-runs', 'many']],
    [['queue', 'shwo', 'ops/held']],
    [['queue']],
  ])('ends with 2 for %j', async (args) => {
    const { code, stdout, stderr } = await launch(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toContain('should not happen')
  })
})

describe('what the server refuses', () => {
  beforeAll(() => suite.deploy('bounded', WORK))

  test.each([
    [['list', '--limit', '0'], '--limit', 'a whole number from 1 to 1000'],
    [['limit', 'ops/bounded', '--max-runs', '0'], '--max-runs', 'a whole number from 1 to 10000'],
    [['tasks', 'ops/bounded', '--status', 'broken'], '--status', 'a list, by commas, of waiting, running, '],
  ])('of %j is told by the flag, with the values it takes', async (args, flag, values) => {
    const { code, stdout, stderr } = await launch(['queue', ...args])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`anvoke: ${flag} cannot be used\n`)
    expect(stderr).toContain(`  fix  give ${flag} ${values}`)
  })

  test('flags of all commands may stand in front of the command, and count behind it', async () => {
    const wrong = { ANVOKE_DATA_DIR: join(cwd, 'nowhere') }
    const { dataDir } = suite.server
    const front = await launch(['queue', '--data', dataDir, '--json', 'audit'], wrong)
    expect(front).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(front.stdout)).toMatchObject({ imbalance: 0 })
    const behind = await launch(['queue', '--data', 'nowhere', 'audit', '--data', dataDir], wrong)
    expect(behind).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('the way to the server', () => {
  test('leads through a directory, and to no other server than the one that is named', async () => {
    const file = await launch(['queue', 'list', '--data', LAUNCHER])
    expect(file).toMatchObject({ code: 6, stdout: '' })
    expect(file.stderr).toContain('it is not a directory')
    const nowhere = join(cwd, 'nowhere')
    const named = await launch(['queue', 'list', '--data', nowhere])
    expect(named.stderr).toContain(`start one: \`anvoke serve --data ${nowhere}\``)
  })

  test('is closed where none runs, with exit code 6 and what to do', async () => {
    for (const [data, why] of [
      ['nowhere', 'there is no such directory'],
      [cwd, 'none runs with it'],
    ] as const) {
      const { code, stdout, stderr } = await launch(['queue', 'list', '--data', data])
      expect({ code, stdout }).toEqual({ code: 6, stdout: '' })
      expect(stderr).toMatch(new RegExp(`no server answers for .*\\n {2}why {2}${why}\\n {2}fix {2}.*--data`))
    }
  })

  test('opens anew after the server was killed, and goes away with one that stops', async () => {
    const socket = join(suite.server.dataDir, 'control.sock')
    await suite.server.kill()
    expect((await stat(socket)).isSocket()).toBe(true)
    const killed = await launch(['queue', 'list'])
    expect(killed).toMatchObject({ code: 6, stdout: '' })
    expect(killed.stderr).toContain('none runs with it')
    await suite.server.launch()
    await queue('list')
    await suite.server.stop()
    await expect(stat(socket)).rejects.toMatchObject({ code: 'ENOENT' })
    await suite.server.launch()
    await queue('list')
  })

  // Only root can become another user.
  test.runIf(isRoot)('is closed to other users, whatever the mode of the data directory', async () => {
    const { dataDir } = suite.server
    const connect = `require('net').connect(process.argv[1])
      .on('connect', () => { console.log('connected'); process.exit() }).on('error', (error) => console.log(error.code))`
    const list = ['queue', 'list', '--data', dataDir]
    for (const mode of [0o700, 0o755]) {
      await chmod(dataDir, mode)
      expect(await asNobody(['-e', connect, join(dataDir, 'control.sock')])).toMatchObject({
        stdout: 'EACCES\n',
      })
      const { code, stdout, stderr } = await asNobody([LAUNCHER, ...list])
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toMatch(/data directory .* is another user's\n {2}why .*\n {2}fix {2}be the user/)
    }
    await chmod(dataDir, 0o700)
  })

  test('is not seen by functions', async (context) => {
    context.skip(!suite.isolates, 'nothing isolates functions here')
    await suite.deploy('connect', CONNECT)
    const event = join(suite.server.dataDir, 'control.sock')
    expect(String((await suite.fc2.invokeFunction('ops', 'connect', event)).data)).toBe('ENOENT')
  })

  test('is there for a server of `anvoke dev`, with a data directory of any length', async () => {
    const long = join(cwd, 'd'.repeat(120))
    const dev = new Launched(['dev', '--listen', '127.0.0.1:0', '--data', long], { cwd })
    try {
      await dev.ready()
      expect(dev.stderr).toContain(`anvoke queue list --data ${long}`)
      const { code, stderr } = await launch(['queue', 'list', '--data', long])
      expect({ code, stderr }).toEqual({ code: 0, stderr: 'No function had an asynchronous call yet.\n' })
    } finally {
      await dev.kill()
    }
  })

  test('is found where `anvoke dev` has made its directory', async () => {
    const dev = new Launched(['dev', '--listen', '127.0.0.1:0'], { cwd })
    try {
      await dev.ready()
      const [, dir = ''] = /anvoke queue list --data (\S+)/.exec(dev.stderr) ?? []
      const { code, stderr } = await launch(['queue', 'list'], { ANVOKE_DATA_DIR: 'nowhere' })
      expect(code).toBe(6)
      const named = await launch(['queue', 'list', '--data', 'nowhere'])
      expect(named.stderr).not.toContain(dir)
      expect(stderr).toContain(`may run with --data ${dir}\n`)
      expect(await launch(['queue', 'list', '--data', dir])).toMatchObject({ code: 0 })
      dev.child.kill('SIGTERM')
      await dev.ended
      await expect(stat(dir)).rejects.toMatchObject({ code: 'ENOENT' })
    } finally {
      await dev.kill()
    }
  })
})

/** Runs Node as a user who owns nothing. */
async function asNobody(args: readonly string[]): Promise<Omit<Ended, 'signal'>> {
  const drop = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--']
  const child = spawn('setpriv', [...drop, process.execPath, ...args], {
    cwd: '/',
    env: { PATH: process.env['PATH'], HOME: '/', NODE_COMPILE_CACHE: '/nowhere' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await exited
  return { code: Number(code), stdout, stderr }
}

/** Runs the program at a terminal, and types an answer once it asks. */
async function atTerminal(
  args: readonly string[],
  question: string,
  answer: string,
): Promise<{ readonly code: number; readonly output: string }> {
  const program = `import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[3], sys.argv[3:])
output = b''
while True:
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    if not chunk:
        break
    if sys.argv[1].encode() in output + chunk and sys.argv[1].encode() not in output:
        os.write(fd, sys.argv[2].encode())
    output += chunk
sys.stdout.buffer.write(output)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`
  const child = spawn('python3', ['-c', program, question, answer, process.execPath, LAUNCHER, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: cwd, ANVOKE_DATA_DIR: suite.server.dataDir, TERM: 'dumb' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const output = await text(child.stdout)
  const [code] = await exited
  return { code: Number(code), output }
}
