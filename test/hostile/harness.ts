import { spawnSync } from 'node:child_process'
import { open } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest'
import { probeSandboxes } from '../../src/sandbox/probe.ts'
import { send } from '../helpers/fc-request.ts'
import { TestServer } from '../helpers/server.ts'
import { zipOf } from '../helpers/zip.ts'
import { NODE_PRELUDE, PYTHON_PRELUDE } from './preludes.ts'
import { PATIENCE_MS, Traces } from './traces.ts'

const SERVICES = '/2021-04-06/services'
const SERVICE = 'ground'
/** An id that no function and no other test has. */
const ORDINARY_UID = 64_321
const FURTHER_GID = 64_322
/** Instances of Python that are started for one that is forked. */
const MOST_TRIES = 20

const isRoot = process.getuid?.() === 0
const canIsolate = (await probeSandboxes()).some(({ driver, works }) => driver === 'bwrap' && works)

/**
 * What whoever starts a server may leave it, and no function is to have; of each user's server, as all are started from here. Only a
 * root that may raise limits can: for others test/sandbox/limits.test.ts tells what is asked of the kernel.
 */
function leaveMoreThanFunctionsHave(): void {
  const limits = ['--rtprio=50', '--nice=30', '--memlock=unlimited', '--sigpending=100000']
  for (const limit of limits) spawnSync('prlimit', ['--pid', String(process.pid), limit])
}

const WITHOUT_ISOLATION = 'bwrap does not work here; `anvoke doctor` says what is missing'

/** Code of an attacker: what its function does with an event, as the body of a function of its language. */
export type Source = { readonly node: string } | { readonly python: string }

/** One attack in both languages: their processes come into the sandbox by different ways. */
export interface Bilingual {
  readonly node: string
  readonly python: string
}

export const LANGUAGES = ['node', 'python'] as const
export type AttackLanguage = (typeof LANGUAGES)[number]

export function sourceIn(language: AttackLanguage, { node, python }: Bilingual): Source {
  return language === 'node' ? { node } : { python }
}

/** An attack in Python: by a function, or by a program that a function in Node.js starts. It returns what becomes JSON. */
export function pythonIn(language: AttackLanguage, python: string): Source {
  if (language === 'python') return { python }
  const program = `${PYTHON_PRELUDE}${indented(python)}\nprint(handler(sys.argv[1], None))`
  return {
    node: `
      const { error, stdout, stderr } = spawnSync('python3', ['-c', ${JSON.stringify(program)}, JSON.stringify(event)], { encoding: 'latin1' })
      if (stdout === '' || error) throw error ?? new Error(stderr)
      return JSON.parse(stdout)`,
  }
}

export interface AttackSettings {
  /** What the code gets as `event`; default `{}`. */
  readonly event?: unknown
  readonly timeoutS?: number
  readonly memoryMib?: number
  readonly concurrency?: number
  readonly environment?: Readonly<Record<string, string>>
  /** Further files of its package. */
  readonly files?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly errorType: string | undefined
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  readonly json: any
}

/** A deployed attacker with a living instance. */
export interface Attacker {
  readonly name: string
  readonly traces: Traces
  /** Whether its process is a fork of a prepared interpreter: its parent is none that it sees. */
  readonly isForked: boolean
}

/** A server with a function that must not notice anything, and a place to attack it from. */
export class Ground {
  readonly server: TestServer
  /** The user the server runs as; functions of an ordinary one have its id on the host. */
  readonly serverUid: number
  #attacks = 0

  private constructor(server: TestServer, serverUid: number) {
    this.server = server
    this.serverUid = serverUid
  }

  static async start(
    uid: number | undefined,
    environment: Readonly<Record<string, string>>,
  ): Promise<Ground> {
    leaveMoreThanFunctionsHave()
    // Whoever starts a server may leave it descriptors: no function is to have them.
    const stray = await open(import.meta.filename)
    // Ordinary users have groups beside their own.
    const runAs = { uid, furtherGid: FURTHER_GID, strayFd: stray.fd }
    const server = await TestServer.start({ ANVOKE_SANDBOX: 'bwrap', ...environment }, runAs).catch(
      async (error: unknown) => {
        await stray.close()
        throw error
      },
    )
    await stray.close()
    try {
      const ground = new Ground(server, uid ?? process.getuid?.() ?? 0)
      await ground.#manage('POST', SERVICES, { serviceName: SERVICE })
      await ground.deploy(
        'neighbour',
        { node: `return 'well'` },
        { environment: { SECRET: 'of the neighbour' } },
      )
      await ground.expectNeighbourWell()
      await ground.#untilForked()
      return ground
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /**
   * Deploys an attacker and calls it once. Meanwhile and afterwards the neighbour answers, and nothing of the attacker is left
   * once it is removed.
   */
  async attack(source: Source, settings: AttackSettings = {}): Promise<Answer> {
    const attacker = await this.settle(source, settings)
    const running = this.call(attacker.name, settings.event)
    await this.expectNeighbourWell()
    const answer = await running
    await this.expectNeighbourWell()
    await this.dismiss(attacker)
    return answer
  }

  /**
   * The same for an attack on what everybody needs: while it runs, or while its instance still has what it took, the neighbour
   * answers, and a function is started that never ran before.
   */
  async exhaust(source: Source, settings: AttackSettings = {}): Promise<Answer> {
    const attacker = await this.settle(source, settings)
    let isAnswered = false
    const running = this.call(attacker.name, settings.event).finally(() => (isAnswered = true))
    await this.expectNeighbourWell()
    const wasMeanwhile = !isAnswered
    const newcomer = `newcomer-${this.#attacks}`
    await this.deploy(newcomer, { node: `return 'well'` })
    const { text } = await this.call(newcomer)
    if (text !== '"well"') throw new Error(`no function can be started: ${text}\n${this.server.output}`)
    const answer = await running
    if (!wasMeanwhile && attacker.traces.pids.length === 0)
      throw new Error(`the attack was over before anybody else was called: ${answer.text}`)
    await this.expectNeighbourWell()
    await Promise.all([this.dismiss(attacker), this.#remove(newcomer)])
    return answer
  }

  /** What an attack reports, which is to be JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  async reported(source: Source, settings: AttackSettings = {}): Promise<any> {
    return reportOf(await this.attack(source, settings))
  }

  /** What an attack on what everybody needs reports, which is to be JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  async exhaustReport(source: Source, settings: AttackSettings = {}): Promise<any> {
    return reportOf(await this.exhaust(source, settings))
  }

  /** The first processes of Python are started by bwrap, until there is one to fork: the attacks are to meet the forks. */
  async #untilForked(): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const attacker = await this.settle({ python: `return 'nothing'` })
      await this.dismiss(attacker)
      if (attacker.isForked) return
    }
  }

  /** Deploys an attacker and starts its instance without attacking yet. */
  async settle(source: Source, settings: AttackSettings = {}): Promise<Attacker> {
    this.#attacks += 1
    const name = `attack-${this.#attacks}`
    await this.deploy(name, source, settings)
    const hello = await this.call(name, 'hello')
    if (hello.status !== 200 || hello.errorType !== undefined)
      throw new Error(`the attack cannot be loaded: ${hello.text}\n${this.server.output}`)
    const { pidNamespace, isForked = false } = hello.json
    return { name, traces: Traces.of(pidNamespace, this.server.pid), isForked }
  }

  /** Removes an attacker and waits until nothing of it is left. */
  async dismiss({ name, traces }: Attacker): Promise<void> {
    await this.#remove(name)
    await traces.untilGone()
  }

  async deploy(name: string, source: Source, settings: AttackSettings = {}): Promise<void> {
    const isNode = 'node' in source
    const own = isNode
      ? { 'index.js': NODE_PRELUDE + source.node + '\n}' }
      : { 'index.py': PYTHON_PRELUDE + indented(source.python) }
    const zip = await zipOf({ ...own, ...settings.files })
    await this.deployZip(name, zip, settings, isNode ? 'nodejs20' : 'python3.10')
  }

  async deployZip(
    name: string,
    zip: Buffer,
    settings: AttackSettings = {},
    runtime = 'nodejs20',
  ): Promise<void> {
    await this.#manage('POST', `${SERVICES}/${SERVICE}/functions`, {
      functionName: name,
      runtime,
      handler: 'index.handler',
      memorySize: settings.memoryMib ?? 256,
      timeout: settings.timeoutS ?? 20,
      instanceConcurrency: settings.concurrency ?? 1,
      environmentVariables: settings.environment ?? {},
      code: { zipFile: zip.toString('base64') },
    })
  }

  async call(name: string, event: unknown = {}): Promise<Answer> {
    const path = `${SERVICES}/${SERVICE}/functions/${name}/invocations`
    const { status, headers, bytes } = await send(
      this.server,
      { method: 'POST', path },
      JSON.stringify(event),
    )
    const text = bytes.toString()
    return {
      status,
      errorType: headers['x-fc-error-type'] as string | undefined,
      text,
      get json(): unknown {
        return JSON.parse(text)
      },
    }
  }

  async expectNeighbourWell(): Promise<void> {
    const { status, text } = await this.call('neighbour')
    if (status !== 200 || text !== '"well"')
      throw new Error(`the neighbour is not well: ${status} ${text}\n${this.server.output}`)
  }

  async #remove(name: string): Promise<void> {
    await this.#manage('DELETE', `${SERVICES}/${SERVICE}/functions/${name}`)
  }

  async #manage(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<void> {
    const headers = { 'content-type': 'application/json' }
    const sent = body === undefined ? '' : JSON.stringify(body)
    const { status, bytes } = await send(this.server, { method, path, headers }, sent)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${bytes.toString()}`)
  }
}

/**
 * Tests against a server under root and against one under an ordinary user, as far as whoever runs them can have both.
 *
 * @param environment Settings of the server, as `ANVOKE_…` variables.
 */
export function describeHostile(
  what: string,
  tests: (ground: () => Ground) => void,
  environment: Readonly<Record<string, string>> = {},
): void {
  const users = isRoot
    ? [{ user: 'root' }, { user: 'an ordinary user', uid: ORDINARY_UID }]
    : [{ user: 'an ordinary user' }]
  // Only isolation is attacked here: on a host that cannot have it (no bubblewrap, or no namespaces for it) the code would reach
  // whatever the tests may reach. `anvoke doctor` says there what is missing.
  // Both at once, each in order: most of the time goes in waiting for the ends of calls.
  describe.concurrent.each(users)(`${what}, where the server runs as $user`, ({ uid }) => {
    describe('in turn', { concurrent: false, timeout: PATIENCE_MS }, () => {
      let ground: Ground | undefined
      beforeEach((context) => context.skip(!canIsolate, WITHOUT_ISOLATION))
      beforeAll(async () => {
        if (!canIsolate) return
        ground = await Ground.start(uid, environment)
      }, PATIENCE_MS)
      // Closing looks for what is left of any function.
      afterAll(() => ground?.server.close(), PATIENCE_MS)
      tests(() => {
        if (ground === undefined) throw new Error('the server did not start')
        return ground
      })
    })
  })
}

// oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
function reportOf(answer: Answer): any {
  if (answer.status !== 200 || answer.errorType !== undefined)
    throw new Error(`the attack failed by itself: ${answer.status} ${answer.text}`)
  return answer.json
}

/** Every attempt that an attack reports was refused; a failure names those that were not. */
export function expectAllRefused(attempts: Readonly<Record<string, unknown>>): void {
  expect(Object.keys(attempts)).not.toEqual([])
  expect(Object.fromEntries(Object.entries(attempts).filter(([, told]) => !isRefusal(told)))).toEqual({})
}

function isRefusal(told: unknown): boolean {
  return typeof told === 'string' && told.startsWith('refused ')
}

function indented(source: string): string {
  return source
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n')
}
