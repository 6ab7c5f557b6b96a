// What each layer of a sandboxed start costs: `node bench/start-cost.ts [ROUNDS]`, on a host with bwrap and util-linux. Prints a
// Markdown table of medians with quartiles, in milliseconds from spawn to the first byte. The layers take turns, round by
// round, so that other work on the machine disturbs all of them alike. See docs/decisions/0002-sandbox-as-root.md.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { chooseSandbox } from '../src/sandbox/probe.ts'
import { RuntimeTable } from '../src/sandbox/runtimes.ts'
import type { Sandbox } from '../src/sandbox/sandbox.ts'
import { seccompFilter } from '../src/sandbox/seccomp/filter.ts'
import { table, withQuartiles } from './report.ts'
import { spread, type Spread } from './statistics.ts'

const DEFAULT_ROUNDS = 25
const UID = '700000'
const FILTER_FD = 3

/** One layer more than the one before it; times in ms from spawn to the first byte, by program. */
export interface LayerCost {
  readonly layer: string
  readonly ms: Readonly<Record<string, Spread>>
}

interface Layer {
  readonly name: string
  start(program: readonly string[]): Promise<number>
}

/** Starts small programs behind one layer of the sandbox after the other, in turns. */
export async function measureLayers(rounds: number, signal: AbortSignal): Promise<readonly LayerCost[]> {
  const directory = mkdtempSync(join(tmpdir(), 'anvoke-bench-filter-'))
  const { sandbox } = await chooseSandbox('bwrap')
  try {
    const layers = createLayers(directory, sandbox)
    const programs = await createPrograms()
    const times = new Map<string, number[]>()
    for (let round = 0; round < rounds; round += 1)
      for (let turn = 0; turn < layers.length; turn += 1) {
        const layer = layers[(turn + round) % layers.length]
        if (layer === undefined) continue
        for (const [name, program] of programs) {
          signal.throwIfAborted()
          const key = `${layer.name} ${name}`
          times.set(key, [...(times.get(key) ?? []), await layer.start(program)])
        }
      }
    return layers.map(({ name }) => ({
      layer: name,
      ms: Object.fromEntries(
        [...programs.keys()].map((program) => [program, spread(times.get(`${name} ${program}`) ?? [])]),
      ),
    }))
  } finally {
    await sandbox.close()
    rmSync(directory, { recursive: true })
  }
}

/** The layers as a Markdown table. */
export function formatLayers(layers: readonly LayerCost[]): string {
  const programs = Object.keys(layers[0]?.ms ?? {})
  return table(
    ['start behind', ...programs.map((name) => `${name}, ms`)],
    layers.map(({ layer, ms }) => [layer, ...programs.map((name) => withQuartiles(ms[name], 1))]),
  )
}

function createLayers(directory: string, sandbox: Sandbox): readonly Layer[] {
  const isRoot = process.getuid?.() === 0
  const namespaces = words(
    'bwrap --unshare-pid --unshare-net --unshare-ipc --unshare-uts --die-with-parent --new-session --ro-bind / / ' +
      '--proc /proc --dev /dev --tmpfs /tmp --chdir / --cap-drop ALL',
  )
  const asRoot = words('--cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP')
  const bwrap = [...namespaces, ...(isRoot ? asRoot : words('--unshare-user'))]
  const drop = words(
    `setpriv --reuid ${UID} --regid ${UID} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all --`,
  )
  const setpriv = isRoot ? drop : []
  const limits = words('prlimit --core=0 --fsize=537919488 --nproc=1024 --')
  const filter = seccompFilter()
  const filterFile = join(directory, 'filter')
  if (filter !== undefined) writeFileSync(filterFile, filter)
  return [
    plain('no sandbox', []),
    plain('bwrap: namespaces and mounts', [...bwrap, '--']),
    ...(isRoot ? [plain('+ setpriv: user id, capabilities', [...bwrap, '--', ...setpriv])] : []),
    plain('+ prlimit', [...bwrap, '--', ...setpriv, ...limits]),
    ...(filter === undefined
      ? []
      : [
          plain(
            '+ seccomp filter',
            [...bwrap, '--seccomp', String(FILTER_FD), '--', ...setpriv, ...limits],
            filterFile,
          ),
        ]),
    {
      name: '+ cgroup limits: all of it, as the server starts it',
      start: (program) => inDriver(sandbox, program),
    },
  ]
}

async function createPrograms(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { interpreters } = await RuntimeTable.discover()
  const python = interpreters.find(({ language }) => language === 'python')?.path
  return new Map([
    ['printf', ['/usr/bin/printf', 'x']],
    ...(python === undefined ? [] : [['Python', [python, '-I', '-S', '-c', 'print("x")']] as const]),
  ])
}

function plain(name: string, before: readonly string[], filterFile?: string): Layer {
  return {
    name,
    async start(program) {
      const [command = '', ...args] = [...before, ...program]
      const filterFd = filterFile === undefined ? undefined : openSync(filterFile, 'r')
      try {
        const startMs = performance.now()
        const child = spawn(command, args, {
          stdio: ['ignore', 'pipe', 'inherit', ...(filterFd === undefined ? [] : [filterFd])],
          cwd: '/',
        })
        const elapsedMs = await firstByteMs(child.stdout, startMs, once(child, 'close'))
        return elapsedMs
      } finally {
        if (filterFd !== undefined) closeSync(filterFd)
      }
    },
  }
}

async function inDriver(sandbox: Sandbox, program: readonly string[]): Promise<number> {
  const ticketsFd = openSync('/dev/null', 'r')
  try {
    const startMs = performance.now()
    const started = sandbox.start({
      functionId: 'bench',
      command: program,
      mounts: [],
      environment: {},
      workDir: '/tmp',
      memoryMib: 512,
      diskMib: 512,
      ticketsFd,
    })
    return await firstByteMs(started.stdout, startMs, started.exited)
  } finally {
    closeSync(ticketsFd)
  }
}

async function firstByteMs(
  output: NodeJS.ReadableStream | null,
  startMs: number,
  ended: Promise<unknown>,
): Promise<number> {
  let elapsedMs: number | undefined
  output?.on('data', () => (elapsedMs ??= performance.now() - startMs))
  await ended
  if (elapsedMs === undefined) throw new Error('a started program wrote nothing')
  return elapsedMs
}

function words(text: string): string[] {
  return text.split(' ')
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? DEFAULT_ROUNDS)
  const layers = await measureLayers(rounds, new AbortController().signal)
  process.stdout.write(`${formatLayers(layers)}\n`)
}
