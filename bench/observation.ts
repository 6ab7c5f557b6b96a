import { readdirSync, readFileSync } from 'node:fs'
import { processTree } from './process.ts'

/** Memory of a server at one moment, in MiB. */
export interface Memory {
  /** Resident set of the server process alone. */
  readonly rssMib: number
  /** Proportional set sizes of the server and all its descendants: shared pages are counted once. */
  readonly treePssMib: number
  /** Processes in the tree, the server included. */
  readonly processes: number
}

/** What the scheduler did to a process tree since its members started; subtract two readings of the same tree. */
export interface Scheduling {
  readonly cpuMs: number
  /** Time during which a thread was ready to run and waited for a CPU, summed over threads. */
  readonly waitMs: number
  readonly involuntarySwitches: number
  readonly pids: readonly number[]
}

/** Reads the memory of a server and its tree; processes that end meanwhile are left out. */
export function readMemory(pid: number): Memory {
  const tree = processTree(pid)
  const pssKib = tree.map((member) => kibField(`/proc/${member.pid}/smaps_rollup`, 'Pss'))
  return {
    rssMib: kibField(`/proc/${pid}/status`, 'VmRSS') / 1024,
    treePssMib: pssKib.reduce((sum, kib) => sum + kib, 0) / 1024,
    processes: tree.length,
  }
}

/** The memory of one process, shared pages divided among those who share them. Throws when it cannot be read. */
export function readPssMib(pid: number): number {
  const kib = /^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1]
  if (kib === undefined) throw new Error(`the memory of process ${pid} cannot be read: is this root?`)
  return Number(kib) / 1024
}

/** Reads the scheduler's accounts of every thread of a tree. */
export function readScheduling(pid: number): Scheduling {
  const pids = processTree(pid).map((member) => member.pid)
  let cpuNs = 0
  let waitNs = 0
  let involuntarySwitches = 0
  for (const task of pids.flatMap(tasksOf)) {
    const [cpu = '0', wait = '0'] = read(`${task}/schedstat`).split(' ')
    cpuNs += Number(cpu)
    waitNs += Number(wait)
    involuntarySwitches += numberField(read(`${task}/status`), 'nonvoluntary_ctxt_switches')
  }
  return { cpuMs: cpuNs / 1e6, waitMs: waitNs / 1e6, involuntarySwitches, pids }
}

/** CPU time of one process since its start, over its threads; subtract two readings. */
export function readCpuMs(pid: number): number {
  return tasksOf(pid).reduce((sum, task) => sum + Number(read(`${task}/schedstat`).split(' ', 1)[0]), 0) / 1e6
}

/** CPU time since boot, or since the start of this process; subtract two readings. */
export interface MachineTime {
  /** Work of all processes and the kernel, on all CPUs. */
  readonly busyMs: number
  /** Time in which the hypervisor ran something else while this machine wanted to run. */
  readonly stolenMs: number
  /** This process and those of its children that have ended and been waited for, such as wrk. */
  readonly ownMs: number
}

const msPerTick = 10

/** Reads the machine's accounts; their grain is 10 ms. */
export function readMachineTime(): MachineTime {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = read('/proc/stat')
    .split('\n', 1)
    .flatMap((line) => line.split(/\s+/).slice(1).map(Number))
  const own = read('/proc/self/stat')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(11, 15)
  return {
    busyMs: (user + nice + system + irq + softirq) * msPerTick,
    stolenMs: stolen * msPerTick,
    ownMs: own.reduce((sum, ticks) => sum + Number(ticks), 0) * msPerTick,
  }
}

/** CPUs this process may use, as the kernel numbers them. */
export function allowedCpus(): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('/proc/self/status'))?.[1] ?? '0'
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

function tasksOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`)
  } catch {
    return []
  }
}

function kibField(path: string, field: string): number {
  return numberField(read(path), field)
}

function numberField(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
