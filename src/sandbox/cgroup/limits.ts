/** What the groups of instances limit; each is a controller of the kernel with this name. */
export const CONTROLLERS = ['memory', 'pids', 'cpu'] as const
export type Controller = (typeof CONTROLLERS)[number]

/** What one group may use. */
export interface GroupLimits {
  /** Memory with its swap, files kept in memory and what the kernel keeps for the processes. */
  readonly memoryBytes: number
  /** Processes and threads. */
  readonly tasks: number
  /** Its part of the processors while they are all in use, beside those of other groups; {@link cpuWeightOf}. */
  readonly cpuWeight: number
  /** Whether nobody waits for it: then it has a {@link AHEAD_PART} of that until it is hurried. Default false. */
  readonly isAhead?: boolean
}

/** One file of a group and what is written there. */
export interface Setting {
  readonly file: string
  readonly value: string
  /** Whether the limit does not hold without it; else a kernel without the file goes without. */
  readonly isNeeded: boolean
}

/** Range of `cpu.weight`; Linux, admin-guide/cgroup-v2. That of `cpu.shares` is wider. */
const [LEAST_WEIGHT, MOST_WEIGHT] = [1, 10_000]
/** Smallest `cpu.shares`; Linux, sched/core.c, MIN_SHARES. */
const LEAST_SHARES = 2

/**
 * Part of its weight that what is started ahead has. A choice between two measured ends, Node.js beside three busy processes of the
 * same memory on two processors: the whole weight is ready in 0.2 to 0.5 s, this part in 2 s, and the least weight there is in 7 to
 * 21 s, so that a busy server would never have any ready.
 */
const AHEAD_PART = 1 / 16

/**
 * The weight of an instance is its memory in MiB, so that 1 024 MiB have twice the processor time of 512 MiB when both want all of
 * it. There is no upper limit: a processor that nobody else wants is used by whoever does.
 */
export function cpuWeightOf(memoryMib: number): number {
  return Math.min(MOST_WEIGHT, Math.max(LEAST_WEIGHT, Math.round(memoryMib)))
}

/** @returns What to write into a new group, in this order. */
export function settingsFor(
  version: 1 | 2,
  controllers: ReadonlySet<Controller>,
  { memoryBytes, tasks, cpuWeight, isAhead = false }: GroupLimits,
): Setting[] {
  const settings: Setting[] = []
  const add = (file: string, value: number, isNeeded = true): void =>
    void settings.push({ file, value: String(value), isNeeded })
  if (controllers.has('memory') && version === 1) {
    add('memory.limit_in_bytes', memoryBytes)
    // Memory with swap; after the other, which it may not be below. A kernel that does not count swap lacks the file.
    add('memory.memsw.limit_in_bytes', memoryBytes, false)
  } else if (controllers.has('memory')) {
    add('memory.max', memoryBytes)
    add('memory.swap.max', 0, false)
    add('memory.oom.group', 1, false)
  }
  if (controllers.has('pids')) add('pids.max', tasks)
  if (controllers.has('cpu'))
    settings.push(weightSetting(version, isAhead ? cpuWeight * AHEAD_PART : cpuWeight))
  return settings
}

/** @returns What gives a group, new or not, its part of the processors. */
export function weightSetting(version: 1 | 2, cpuWeight: number): Setting {
  const [file, least] = version === 1 ? ['cpu.shares', LEAST_SHARES] : ['cpu.weight', LEAST_WEIGHT]
  return { file, value: String(Math.max(least, Math.round(cpuWeight))), isNeeded: true }
}

/** What there is of it for all instances and the server together. */
export interface Supply {
  readonly processors: number
  /** Processes and threads that there may be; {@link import('./own-tasks.ts').ownTasks}. */
  readonly tasks: number
}

/**
 * @returns What to write into the group above all instances: together they count as much as one process of the server on each
 *   processor, however many they are, so that busy functions cannot crowd out the server; and they have at most half of the
 *   processes and threads, so that the server and the rest of the host can start some.
 */
export function settingsAbove(
  version: 1 | 2,
  controllers: ReadonlySet<Controller>,
  { processors, tasks }: Supply,
): Setting[] {
  const settings: Setting[] = []
  // Until Linux 5.11 a v1 group counts what is below it only when told to.
  if (controllers.has('memory') && version === 1)
    settings.push({ file: 'memory.use_hierarchy', value: '1', isNeeded: false })
  if (controllers.has('pids'))
    settings.push({ file: 'pids.max', value: String(Math.floor(tasks / 2)), isNeeded: false })
  if (!controllers.has('cpu')) return settings
  // 1 024 shares, or a weight of 100, are those of a process that no group weighs.
  const [file, ofOne, most] = version === 1 ? ['cpu.shares', 1024, 262_144] : ['cpu.weight', 100, MOST_WEIGHT]
  settings.push({ file, value: String(Math.min(most, ofOne * processors)), isNeeded: false })
  return settings
}
