// What a start of Node.js with nothing started ahead takes, step by step: `node bench/start-steps.ts [ROUNDS]`. Prints a Markdown table of
// medians with quartiles, in milliseconds from the start, and the answer as a multiple of `node -e 0` of the same round. No HTTP and no
// engine take part. The rows take turns, round by round, so that other work on the machine disturbs all of them alike.
import { execFile } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Channel, FRAME } from '../src/engine/channel.ts'
import { PayloadBudget } from '../src/engine/payload-budget.ts'
import { payloadOf } from '../src/model/payload.ts'
import { materialiseBootstraps, type Bootstraps } from '../src/sandbox/bootstraps.ts'
import { compileNode } from '../src/sandbox/compile-nodejs.ts'
import { launchPlan } from '../src/sandbox/launch-plan.ts'
import { chooseSandbox } from '../src/sandbox/probe.ts'
import { RuntimeTable } from '../src/sandbox/runtimes.ts'
import type { Sandbox, SandboxSpec } from '../src/sandbox/sandbox.ts'
import { table, withQuartiles } from './report.ts'
import { spread } from './statistics.ts'

const DEFAULT_ROUNDS = 31
const CONTRACT = 'alibaba-fc'
const CONTEXT = { generation: [20], credentials: {}, function: {}, service: {} }
const CODE = fileURLToPath(new URL('functions/hello', import.meta.url))
const HELLO = '{"name":"bench"}'
const EPOCH = 1
const PAYLOAD_BYTES = 1024 * 1024
const LIMITS = { memoryMib: 512, diskMib: 512 }
const STEPS = ['greeted', 'ready', 'answered'] as const

type Steps = Readonly<Record<(typeof STEPS)[number], number>>

interface Row {
  readonly name: string
  readonly sandbox: Sandbox
  readonly network: SandboxSpec['network']
}

const { interpreter } = (await RuntimeTable.discover()).resolve('nodejs26')
const directory = mkdtempSync(join(tmpdir(), 'anvoke-bench-steps-'))
const [{ sandbox: apart }, { sandbox: plain }] = await Promise.all([
  chooseSandbox('bwrap'),
  chooseSandbox('process'),
])
try {
  process.stdout.write(`${await measure(Number(process.argv[2] ?? DEFAULT_ROUNDS))}\n`)
} finally {
  await Promise.all([apart.close(), plain.close()])
  rmSync(directory, { recursive: true })
}

async function measure(rounds: number): Promise<string> {
  const bootstraps = await materialiseBootstraps(join(directory, 'bootstraps'))
  await compileNode(bootstraps.nodejs, [interpreter], [CONTRACT], new AbortController().signal)
  writeFileSync(join(directory, 'tickets'), Buffer.alloc(1, EPOCH))
  const rows: readonly Row[] = [
    { name: 'driver process', sandbox: plain, network: 'host' },
    { name: 'driver bwrap, network none', sandbox: apart, network: 'none' },
    { name: 'driver bwrap, network egress', sandbox: apart, network: 'egress' },
  ]
  const bare: number[] = []
  const times = rows.map((): Steps[] => [])
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await timeBare())
    for (const [index, row] of rows.entries()) times[index]?.push(await timeSteps(row, bootstraps))
  }
  return table(
    ['start', ...STEPS.map((step) => `${step}, ms`), '÷ bare'],
    [
      ['node -e 0, to its end', '', '', withQuartiles(spread(bare), 1), ''],
      ...rows.map(({ name }, index) => {
        const all = times[index] ?? []
        const ratios = all.map(({ answered }, round) => answered / (bare[round] ?? Number.NaN))
        return [
          name,
          ...STEPS.map((step) => withQuartiles(spread(all.map((steps) => steps[step])), 1)),
          withQuartiles(spread(ratios), 2),
        ]
      }),
    ],
  )
}

async function timeBare(): Promise<number> {
  const startMs = performance.now()
  await promisify(execFile)(interpreter.path, ['-e', '0'], { env: {} })
  return performance.now() - startMs
}

/** Starts, sets "hello" up, calls it once and ends it. */
async function timeSteps({ sandbox, network }: Row, bootstraps: Bootstraps): Promise<Steps> {
  const plan = launchPlan(interpreter, bootstraps, LIMITS)
  const ticketsFd = openSync(join(directory, 'tickets'), 'r')
  const startMs = performance.now()
  const started = sandbox.start({
    ...plan,
    ...LIMITS,
    mounts: [...plan.mounts, { source: CODE, target: '/code' }],
    functionId: 'bench',
    workDir: '/tmp',
    ...(network === undefined ? {} : { network }),
    ticketsFd,
  })
  const at = new Map<number, number>()
  const setup = JSON.stringify({
    contract: CONTRACT,
    handler: 'index.handler',
    codeDir: started.locate('/code'),
    concurrency: 1,
    requestId: '',
    environment: plan.environment,
    context: CONTEXT,
  })
  const channel = new Channel(started.channel, new PayloadBudget(PAYLOAD_BYTES), {
    onFrame: ({ type }) => {
      at.set(type, performance.now() - startMs)
      if (type === FRAME.hello) void set()
      else if (type === FRAME.ready) send(FRAME.invoke, EPOCH, '{"requestId":""}', HELLO)
      else if (type !== FRAME.log) started.kill()
    },
    expectsLarge: () => false,
    onBroken: () => started.kill(),
    onEnd: () => undefined,
  })
  const send = (type: number, flag: number, meta: string, payload: string): void => {
    channel.send(type, flag, flag, meta, payloadOf(payload))
    channel.flush()
  }
  const set = async (): Promise<void> => {
    await started.prepared
    send(FRAME.setup, 0, '', setup)
  }
  const exit = await started.exited
  closeSync(ticketsFd)
  const [greeted, ready, answered] = [FRAME.hello, FRAME.ready, FRAME.result].map((type) => at.get(type))
  if (greeted === undefined || ready === undefined || answered === undefined)
    throw new Error(`a function did not answer: ${JSON.stringify(exit)}`)
  return { greeted, ready, answered }
}
