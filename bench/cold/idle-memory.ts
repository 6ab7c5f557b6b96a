import { setTimeout as delay } from 'node:timers/promises'
import { readPssMib } from '../observation.ts'
import { processTree } from '../process.ts'
import { spread, type Spread } from '../statistics.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'
import { deploy, settle, timeCall, type Language } from './stage.ts'

/** How long instances have been idle when they are looked at. */
const IDLE_MS = 1_500

/** Memory of instances that wait for their next call, all of them together on the machine; shared pages are divided. */
export interface IdleMemory {
  readonly language: string
  readonly instances: number
  /** Of the whole tree of one instance: interpreter and launchers. A process that several share is counted once. */
  readonly pssMib: number
  /** Of the interpreter alone. */
  readonly interpreterPssMib: Spread
  /** In the tree of one instance. */
  readonly processes: number
}

/** Calls as many functions once each, lets them rest and reads the memory of what serves them. Needs root. */
export async function measureIdleMemory(
  server: RunningAnvoke,
  language: Language,
  hello: Workload,
  count: number,
  signal: AbortSignal,
): Promise<IdleMemory> {
  const suffix = language.name === 'Python' ? 'py' : 'js'
  const names = Array.from({ length: count }, (_, index) => `idle-${suffix}-${index}`)
  for (const name of names) {
    await deploy(server, language, name, { processName: name })
    await timeCall(server, name, hello)
  }
  await settle(server, signal)
  await delay(IDLE_MS, undefined, { signal })
  const tree = processTree(server.child.pid)
  const interpreters = tree.filter(({ command }) => names.includes(command))
  if (interpreters.length !== count)
    throw new Error(`${interpreters.length} instances were found where ${count} are idle`)
  const parents = new Map(tree.map(({ pid, parentPid }) => [pid, parentPid]))
  const members = new Set<number>()
  for (const { pid } of interpreters)
    for (let at: number | undefined = pid; at !== undefined && at !== server.child.pid; at = parents.get(at))
      members.add(at)
  // The tree lists parents before children.
  for (const { pid, parentPid } of tree)
    if (interpreters.some((one) => one.pid === parentPid) || (members.has(parentPid) && isBelow(parentPid)))
      members.add(pid)
  const memory = {
    language: language.name,
    instances: count,
    pssMib: [...members].reduce((sum, pid) => sum + readPssMib(pid), 0) / count,
    interpreterPssMib: spread(interpreters.map(({ pid }) => readPssMib(pid))),
    processes: members.size / count,
  }
  for (const name of names) await server.client.deleteFunction(server.service, name)
  return memory

  /** Whether a member lies below an interpreter, not above one: what else its launcher has is not the instance's. */
  function isBelow(pid: number): boolean {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at))
      if (interpreters.some((one) => one.pid === at)) return true
    return false
  }
}
