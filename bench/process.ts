import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'

const stopGraceMs = 10_000
const stderrTailChars = 4_000

/** A server that the benchmark started and has to end. */
export interface Child {
  readonly name: string
  readonly pid: number
  /** `performance.now()` just before the spawn. */
  readonly spawnedAtMs: number
  /** Undefined while it runs; afterwards how it ended, in words. */
  readonly ending: string | undefined
  /** The last few thousand characters it wrote to stderr. */
  readonly stderrTail: string
  /**
   * SIGTERM, after ten seconds SIGKILL; then kills by id whatever is left of the tree it had.
   * Returns the descendants that had outlived it (an empty list is what a clean server gives). Idempotent.
   */
  stop(): Promise<readonly string[]>
}

interface ProcessIdentity {
  readonly pid: number
  readonly parentPid: number
  readonly command: string
  /** Clock ticks since boot: together with the id it names a process for good, ids alone are reused. */
  readonly startTicks: string
}

const running = new Set<Child>()

/**
 * What a measured process gets of this one's environment: enough to find programs, nothing that slows a start
 * (NODE_EXTRA_CA_CERTS alone costs a Node process 40 ms) or changes its behaviour (NODE_OPTIONS).
 */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const environment: Record<string, string> = { LANG: 'C.UTF-8', ...extra }
  for (const name of ['PATH', 'HOME', 'TMPDIR']) {
    const value = process.env[name]
    if (value !== undefined) environment[name] = value
  }
  return environment
}

/** A TCP port of 127.0.0.1 that was free a moment ago, chosen by the kernel. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

/** Starts a server in a clean environment and keeps it on the list that {@link stopAll} works through. */
export async function startChild(
  name: string,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Child> {
  const spawnedAtMs = performance.now()
  const child = spawn(command, args, {
    env: cleanEnvironment(environment),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderrTail = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderrTail = (stderrTail + text).slice(-stderrTailChars)
  })
  let ending: string | undefined
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      ending = signal === null ? `exited with code ${String(code)}` : `was ended by ${signal}`
      resolve()
    })
  })
  await once(child, 'spawn')
  const pid = child.pid ?? 0

  let stopping: Promise<readonly string[]> | undefined
  const end = async () => {
    const family = processTree(pid)
    if (ending === undefined) child.kill('SIGTERM')
    const killer = setTimeout(() => child.kill('SIGKILL'), stopGraceMs)
    await exited
    clearTimeout(killer)
    const left = await killSurvivors(family)
    running.delete(handle)
    return left
  }
  const handle: Child = {
    name,
    pid,
    spawnedAtMs,
    get ending() {
      return ending
    },
    get stderrTail() {
      return stderrTail
    },
    stop: () => (stopping ??= end()),
  }
  running.add(handle)
  return handle
}

async function killSurvivors(family: readonly ProcessIdentity[]): Promise<readonly string[]> {
  // Namespaces are torn down by the kernel a moment after their first process is gone.
  const deadlineMs = performance.now() + 2_000
  let left = family.filter(isAlive)
  while (left.length > 0 && performance.now() < deadlineMs) {
    await delay(20)
    left = left.filter(isAlive)
  }
  left.forEach(killNow)
  return left.map((member) => `${member.command} (${member.pid})`)
}

/** Ends a server and notes in `problems` what it left behind. */
export async function stopCleanly(child: Child, problems: string[]): Promise<void> {
  const left = await child.stop()
  if (left.length > 0) problems.push(`${child.name} left processes running after its end: ${left.join(', ')}`)
}

/** Ends every server still running. Safe to call at any time, more than once. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((child) => child.stop()))
}

/** The last resort, for use while this process is exiting: SIGKILL to every server and its descendants, at once. */
export function killAll(): void {
  for (const child of running) {
    const family = processTree(child.pid)
    family.forEach(killNow)
  }
}

/** The process and all its descendants, parents before children; empty when the process is gone. */
export function processTree(pid: number): readonly ProcessIdentity[] {
  const childrenOf = new Map<number, ProcessIdentity[]>()
  let root: ProcessIdentity | undefined
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const identity = identify(Number(entry))
    if (identity === undefined) continue
    if (identity.pid === pid) root = identity
    const siblings = childrenOf.get(identity.parentPid)
    if (siblings === undefined) childrenOf.set(identity.parentPid, [identity])
    else siblings.push(identity)
  }
  if (root === undefined) return []
  const tree = [root]
  for (const member of tree) tree.push(...(childrenOf.get(member.pid) ?? []))
  return tree
}

function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The command name is in parentheses and may itself hold spaces and parentheses.
  const nameEnd = stat.lastIndexOf(')')
  const fields = stat.slice(nameEnd + 2).split(' ')
  const [state, parentPid] = fields
  const startTicks = fields[19]
  if (state === undefined || state === 'Z' || parentPid === undefined || startTicks === undefined)
    return undefined
  return {
    pid,
    parentPid: Number(parentPid),
    command: stat.slice(stat.indexOf('(') + 1, nameEnd),
    startTicks,
  }
}

function isAlive(member: ProcessIdentity): boolean {
  return identify(member.pid)?.startTicks === member.startTicks
}

function killNow(member: ProcessIdentity): void {
  if (!isAlive(member)) return
  try {
    process.kill(member.pid, 'SIGKILL')
  } catch {
    // It ended between the check and the signal, which is what was wanted.
  }
}
