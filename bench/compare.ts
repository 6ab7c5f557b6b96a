// This checkout beside another one, such as a worktree of an older commit: `npm run bench -- compare --other DIRECTORY`. Did the warm
// figures drop? Both servers run, and take turns within each round: what else the machine does hits both. See README.md.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runLoad } from './load.ts'
import { describeMachine, type Machine } from './machine.ts'
import { readCpuMs, readScheduling } from './observation.ts'
import { stopCleanly } from './process.ts'
import { Program, progress } from './program.ts'
import { table, withQuartiles } from './report.ts'
import { spread, type Spread } from './statistics.ts'
import { createAnvoke, ownCheckout, type RunningAnvoke } from './systems/anvoke.ts'
import { createWorkloads } from './workloads.ts'

const usage =
  'Usage: npm run bench -- compare --other DIRECTORY [--rounds COUNT] [--flags "FLAGS OF BOTH SERVERS"] [--json]'
const DEFAULT_ROUNDS = 12
const RUN_SECONDS = 1
/** Then both are started anew, the other one first: a server that was started first, or compiled something in another way, is slower for life. */
const ROUNDS_PER_START = 3
/** Seconds of every load before anything counts: what is hot is compiled late. */
const WARM_UP_SECONDS = 3

/** One kind of load. */
interface Case {
  readonly system: 'anvoke' | 'anvoke-16'
  readonly title: string
  readonly connections: number
}

const cases: readonly Case[] = [16, 1].flatMap((connections) => [
  { system: 'anvoke', title: 'one call per instance', connections },
  { system: 'anvoke-16', title: 'instanceConcurrency 16', connections },
])

/** What is compared, as one measurement gives it. */
const figures = {
  requestsPerSecond: { title: 'req/s', digits: 0 },
  p50Ms: { title: 'p50, ms', digits: 3 },
  serverCpuUs: { title: 'CPU of the server a call, µs', digits: 1 },
  treeCpuUs: { title: 'CPU of all its processes a call, µs', digits: 1 },
  readyMs: { title: 'ready, ms', digits: 0 },
} as const
type Figure = keyof typeof figures

/** One figure of both; the ratio is that of the same round. */
interface Compared {
  readonly name: string
  readonly figure: Figure
  readonly own: Spread
  readonly other: Spread
  readonly ratio: Spread
}

interface Comparison {
  readonly machine: Machine
  readonly own: string
  readonly other: string
  readonly rounds: number
  readonly rows: readonly Compared[]
  readonly problems: readonly string[]
}

type Side = 'own' | 'other'

const options = readOptions()
const program = new Program('anvoke-bench-')
const { directory, signal } = program
await program.run(async () => {
  const comparison = await compare()
  writeFileSync(1, options.json ? `${JSON.stringify(comparison, null, 2)}\n` : `${format(comparison)}\n`)
  return comparison.problems.length > 0 ? 1 : 0
})

async function compare(): Promise<Comparison> {
  const machine = describeMachine()
  const problems: string[] = []
  const [hello] = createWorkloads(directory)
  const programs = {
    own: createAnvoke(directory),
    other: createAnvoke(directory, options.other),
  }
  const values = new Map<string, Record<Side, number[]>>()
  const note = (name: string, figure: Figure, side: Side, value: number) => {
    const key = `${name}/${figure}`
    const known = values.get(key) ?? { own: [], other: [] }
    known[side].push(value)
    values.set(key, known)
  }

  let servers: Record<Side, RunningAnvoke> | undefined
  for (let round = 0; round < options.rounds; round += 1) {
    const sides: readonly [Side, Side] = round % 2 === 0 ? ['own', 'other'] : ['other', 'own']
    if (round % ROUNDS_PER_START === 0) {
      await stopBoth()
      servers = await startBoth(sides)
    }
    assert.ok(servers !== undefined)
    progress(`round ${round + 1} of ${options.rounds}`)
    for (const one of cases)
      for (const side of sides) {
        const measured = await load(servers[side], one)
        for (const [figure, value] of Object.entries(measured))
          if (isFigure(figure)) note(nameOf(one), figure, side, value)
      }
    for (const side of sides) {
      const server = await start(side)
      note('start-up', 'readyMs', side, server.readyMs)
      await stopCleanly(server.child, problems)
    }
  }
  await stopBoth()
  const rows = [...cases.map(nameOf), 'start-up'].flatMap((name) =>
    Object.keys(figures)
      .filter(isFigure)
      .flatMap((figure): Compared[] => {
        const found = values.get(`${name}/${figure}`)
        if (found === undefined) return []
        const ratios = found.own.map((value, round) => value / (found.other[round] ?? Number.NaN))
        return [{ name, figure, own: spread(found.own), other: spread(found.other), ratio: spread(ratios) }]
      }),
  )
  const [own, other] = [describeCheckout(ownCheckout), describeCheckout(options.other)]
  return { machine, own, other, rounds: options.rounds, rows, problems }

  async function startBoth([first, second]: readonly [Side, Side]): Promise<Record<Side, RunningAnvoke>> {
    progress(`starting both servers, ${first === 'own' ? 'this' : 'the other'} checkout's first`)
    const [one, two] = [await start(first), await start(second)]
    for (const server of [one, two]) {
      await server.prepare()
      for (const warmedBy of cases) await load(server, warmedBy, WARM_UP_SECONDS)
    }
    return first === 'own' ? { own: one, other: two } : { own: two, other: one }
  }

  async function stopBoth(): Promise<void> {
    for (const { child } of Object.values(servers ?? {})) await stopCleanly(child, problems)
  }

  function start(side: Side): Promise<RunningAnvoke> {
    return programs[side].start(signal, { flags: options.flags })
  }

  async function load(server: RunningAnvoke, { system, connections }: Case, durationSeconds = RUN_SECONDS) {
    const { pid } = server.child
    const [serverMs, treeMs] = [readCpuMs(pid), readScheduling(pid).cpuMs]
    const loadOptions = { connections, durationSeconds, signal }
    const result = await runLoad(server.target(system, hello), hello, loadOptions)
    if (result.firstError !== undefined) problems.push(`${server.origin}: ${result.firstError}`)
    const { requests, requestsPerSecond, p50Ms } = result
    return {
      requestsPerSecond,
      p50Ms,
      serverCpuUs: ((readCpuMs(pid) - serverMs) * 1000) / requests,
      treeCpuUs: ((readScheduling(pid).cpuMs - treeMs) * 1000) / requests,
    }
  }
}

function nameOf({ title, connections }: Case): string {
  return `hello, ${title}, ${connections} conn.`
}

function isFigure(name: string): name is Figure {
  return Object.hasOwn(figures, name)
}

/** The commit of a checkout, and whether something was changed since; its path where Git does not know it. */
function describeCheckout(checkout: string): string {
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', checkout, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const commit = git('rev-parse', '--short', 'HEAD').trim()
    return git('status', '--porcelain', '--', 'src').trim() === '' ? commit : `${commit} with changes`
  } catch {
    return checkout
  }
}

function format({ machine, own, other, rounds, rows, problems }: Comparison): string {
  const head =
    `${own} beside ${other}: ${rounds} rounds of ${RUN_SECONDS} s; ${machine.cpuCount} × ${machine.cpu}, ` +
    `load average before: ${machine.loadAverage.toFixed(2)}`
  return [
    head,
    table(
      ['', 'figure', 'this', 'other', 'this ÷ other'],
      rows.map((row) => {
        const { title, digits } = figures[row.figure]
        const medians = [row.own, row.other].map(({ median }) => median.toFixed(digits))
        return [row.name, title, ...medians, withQuartiles(row.ratio, 3)]
      }),
    ),
    ...(problems.length === 0 ? [] : [['Problems', ...problems.map((text) => `- ${text}`)].join('\n')]),
  ].join('\n\n')
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        other: { type: 'string' },
        rounds: { type: 'string', default: String(DEFAULT_ROUNDS) },
        flags: { type: 'string', default: '' },
        json: { type: 'boolean', default: false },
      },
    })
    if (values.other === undefined) throw new Error('--other is missing')
    const other = resolve(values.other)
    for (const needed of [join('bin', 'anvoke.js'), 'node_modules'])
      if (!existsSync(join(other, needed))) throw new Error(`${other} has no ${needed}`)
    const rounds = Number(values.rounds)
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds is not 1 or more')
    return { ...values, other, rounds, flags: values.flags.split(' ').filter((flag) => flag !== '') }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
