// What each step of a sandboxed start costs: `node bench/start-cost.ts`, as root, on a host with bwrap and util-linux.
// Prints a Markdown table of medians, in milliseconds from spawn to the first byte. The orders take turns, round by
// round, so that other work on the machine disturbs all of them alike. See docs/decisions/0002-sandbox-as-root.md.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const ROUNDS = 25
const UID = '700000'

const words = (text: string): string[] => text.split(' ')

const NAMESPACES = words(
  'bwrap --unshare-pid --unshare-net --unshare-ipc --unshare-uts --die-with-parent --new-session --ro-bind / / ' +
    '--proc /proc --dev /dev --tmpfs /tmp --chdir /',
)
const AS_ROOT = [
  ...NAMESPACES,
  ...words('--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP --'),
]
const IDS = words(`setpriv --reuid ${UID} --regid ${UID} --clear-groups`)
const DROP = [...IDS, ...words('--no-new-privs --inh-caps=-all --bounding-set=-all --')]
const OWN_USER_NAMESPACE = words('unshare --user --map-current-user --')
const LIMITS = words('prlimit --core=0 --fsize=537919488 --nproc=1024 --')

const ORDERS: Record<string, readonly string[]> = {
  'no sandbox': [],
  'setpriv, then bwrap as user': [...IDS, '--', ...NAMESPACES, '--unshare-user', '--'],
  'bwrap as root, nothing dropped (for scale)': [...NAMESPACES, '--'],
  'bwrap, setpriv': [...AS_ROOT, ...DROP],
  'bwrap, setpriv, user namespace': [...AS_ROOT, ...DROP, ...OWN_USER_NAMESPACE],
  '… and prlimit (**chosen**)': [...AS_ROOT, ...DROP, ...OWN_USER_NAMESPACE, ...LIMITS],
}

const PROGRAMS: Record<string, readonly string[]> = {
  '`printf`': ['/usr/bin/printf', 'x'],
  Python: ['/usr/bin/python3', '-I', '-S', '-c', 'print("x")'],
}

async function timeToFirstByteMs(command: readonly string[]): Promise<number> {
  const [program = '', ...args] = command
  const startMs = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' })
  const closed = once(child, 'close')
  const first = once(child.stdout, 'data').then(() => performance.now() - startMs)
  const elapsedMs = await Promise.race([first, closed.then(() => Number.NaN)])
  await closed
  if (Number.isNaN(elapsedMs)) throw new Error(`nothing was written by: ${command.join(' ')}`)
  return elapsedMs
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const figures = new Map<string, number[]>()
for (let round = 0; round < ROUNDS; round += 1)
  for (const [order, before] of Object.entries(ORDERS))
    for (const [name, program] of Object.entries(PROGRAMS)) {
      const key = `${order} ${name}`
      const values = figures.get(key) ?? []
      figures.set(key, [...values, await timeToFirstByteMs([...before, ...program])])
    }

const names = Object.keys(PROGRAMS)
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const lines = [
  row(['order', ...names]),
  row(['---', ...names.map(() => '---')]),
  ...Object.keys(ORDERS).map((order) =>
    row([order, ...names.map((name) => median(figures.get(`${order} ${name}`) ?? []).toFixed(1))]),
  ),
]
process.stdout.write(`${lines.join('\n')}\n`)
