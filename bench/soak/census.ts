import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readMemory } from '../observation.ts'
import { processTree } from '../process.ts'

/** What exists because of one server, at one moment. */
export interface Census {
  /** Processes that the server started itself: one for each instance and each process started ahead. */
  readonly trees: number
  /** Processes that others are forked from, each with the descriptors of all its children. */
  readonly zygotes: number
  /** All below the server. */
  readonly processes: number
  /** Groups of its name in any hierarchy, its own included. */
  readonly cgroups: number
  /** In the mount namespace of the server, which should have nothing to do with those of functions. */
  readonly mounts: number
  /** Directories of its name in `/dev/shm` and the temporary directory, and what lies in them. */
  readonly stateEntries: number
  /** Code that lies ready for processes started ahead, below the data directory. */
  readonly slots: number
  /** Entries of `/dev/shm` that came since `sharedMemoryBefore` was read and have no server's name. */
  readonly sharedMemoryEntries: number
  /** Other entries of the temporary directory. */
  readonly temporaryEntries: number
  readonly descriptors: number
  readonly rssMib: number
}

/** Of the server for the children that a zygote may have: 16, with three streams and a ticket book each. */
const DESCRIPTORS_PER_ZYGOTE = 16 * 5

/** What one more tree may have, and what may differ without a reason. */
const ALLOWED: Readonly<Record<keyof Census, { readonly perTree: number; readonly slack: number }>> = {
  trees: { perTree: 1, slack: 8 },
  zygotes: { perTree: 0, slack: 4 },
  processes: { perTree: 6, slack: 4 },
  cgroups: { perTree: 6, slack: 6 },
  mounts: { perTree: 0, slack: 0 },
  stateEntries: { perTree: 6, slack: 16 },
  slots: { perTree: 3, slack: 16 },
  sharedMemoryEntries: { perTree: 0, slack: 0 },
  temporaryEntries: { perTree: 0, slack: 4 },
  // A zygote that had no children yet holds all their descriptors, one whose children have ended none.
  descriptors: { perTree: 12, slack: 16 + DESCRIPTORS_PER_ZYGOTE },
  // V8 gives memory back late, and the first minutes fill caches.
  rssMib: { perTree: 0, slack: 64 },
}

/** Counts everything that belongs to a server, known by its process id and start time. */
export function takeCensus(server: ServerPlaces): Census {
  const { pid, name, dataDir, temporaryDir } = server
  const tree = processTree(pid)
  const owned = ['/dev/shm', temporaryDir].flatMap((dir) =>
    list(dir)
      .filter((entry) => entry.includes(name))
      .map((entry) => join(dir, entry)),
  )
  return {
    trees: tree.filter(({ parentPid }) => parentPid === pid).length,
    zygotes: tree.filter((one) => isOfZygote(one.pid) && !isOfZygote(one.parentPid)).length,
    processes: Math.max(0, tree.length - 1),
    cgroups: cgroupsNamed(name),
    mounts: lines(`/proc/${pid}/mountinfo`),
    stateEntries: owned.reduce((sum, dir) => sum + 1 + list(dir).length, 0),
    slots: list(join(dataDir, 'stems'))
      .map((dir) => list(join(dataDir, 'stems', dir)).length)
      .reduce((sum, count) => sum + count, 0),
    sharedMemoryEntries: sharedMemoryEntries().filter((entry) => !server.sharedMemoryBefore.has(entry))
      .length,
    temporaryEntries: list(temporaryDir).filter((entry) => !entry.includes(name)).length,
    descriptors: list(`/proc/${pid}/fd`).length,
    rssMib: tree.length === 0 ? 0 : readMemory(pid).rssMib,
  }
}

/** Where to look for what a server makes. */
export interface ServerPlaces {
  readonly pid: number
  /** `-PID-STARTTIME`: part of the names of everything that it makes outside of its data directory. */
  readonly name: string
  readonly dataDir: string
  readonly temporaryDir: string
  /** {@link sharedMemoryEntries} before it was started: none of its doing. */
  readonly sharedMemoryBefore: ReadonlySet<string>
}

/** What lies in `/dev/shm` without the name of a server: whose directories and files are whose is known by their names. */
export function sharedMemoryEntries(): readonly string[] {
  return list('/dev/shm').filter((entry) => !/^anvoke-(?:dev-)?\d+-\d+-\d+-/.test(entry))
}

/** The part of names that tells one server from every other. */
export function serverName(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return `-${pid}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
}

/** What a server at rest has more than an earlier rest of the same server explains; in words, empty when nothing. */
export function compareRests(base: Census, now: Census): readonly string[] {
  const moreTrees = Math.max(0, now.trees - base.trees)
  const moreZygotes = Math.max(0, now.zygotes - base.zygotes)
  return censusKeys.flatMap((key) => {
    const { perTree, slack } = ALLOWED[key]
    const forZygotes = key === 'descriptors' ? DESCRIPTORS_PER_ZYGOTE * moreZygotes : 0
    const most = base[key] + perTree * moreTrees + forZygotes + slack
    return now[key] > most
      ? [`${key}: ${now[key].toFixed(0)}, at most ${most.toFixed(0)} were to be expected`]
      : []
  })
}

/** So many rests, each with more of something than the one before, are no chance. */
const GROWING_RESTS = 6

/** What has become more at each of the last rests, beyond what more trees need, however little; in words, empty when nothing. */
export function growthOverRests(rests: readonly Census[]): readonly string[] {
  const last = rests.slice(-GROWING_RESTS)
  if (last.length < GROWING_RESTS) return []
  return censusKeys.flatMap((key) => {
    // Memory is never twice the same; its bound is the one above.
    if (key === 'rssMib') return []
    const { perTree } = ALLOWED[key]
    const counts = last.map((census) =>
      key === 'trees' ? census.trees : census[key] - perTree * census.trees,
    )
    const isGrowing = counts.every((count, index) => index === 0 || count > (counts[index - 1] ?? Infinity))
    return isGrowing
      ? [`${key}: more at each of ${GROWING_RESTS} rests: ${last.map((census) => census[key]).join(', ')}`]
      : []
  })
}

/** The mounts of this process's own namespace, which the server starts in: text of `/proc/self/mountinfo`. */
export function readMounts(): string {
  return readFileSync('/proc/self/mountinfo', 'utf8')
}

/**
 * What a server that has ended left behind; in words.
 *
 * @param mounts Of the host's namespace, before its start and now; see {@link readMounts}.
 */
export function leftBehind(
  after: Census,
  mounts: { readonly before: string; readonly after: string },
): readonly string[] {
  const gone = [
    'trees',
    'zygotes',
    'processes',
    'cgroups',
    'stateEntries',
    'slots',
    'sharedMemoryEntries',
    'temporaryEntries',
  ] as const
  return [
    ...gone.filter((key) => after[key] > 0).map((key) => `${key}: ${after[key]} after the end of the server`),
    ...changedMounts(mounts),
  ]
}

/** Line by line: what a server may neither leave nor take away. proc(5), mountinfo: the fifth word is the mount point. */
function changedMounts({ before, after }: { readonly before: string; readonly after: string }): string[] {
  const [old, now] = [new Set(before.split('\n')), new Set(after.split('\n'))]
  const pointOf = (line: string): string => line.split(' ')[4] ?? line
  return [
    ...[...now]
      .filter((line) => !old.has(line))
      .map((line) => `mounts: ${pointOf(line)} is new after the end of the server`),
    ...[...old]
      .filter((line) => !now.has(line))
      .map((line) => `mounts: ${pointOf(line)} is gone after the end of the server`),
  ]
}

const censusKeys = [
  'trees',
  'zygotes',
  'processes',
  'cgroups',
  'mounts',
  'stateEntries',
  'slots',
  'sharedMemoryEntries',
  'temporaryEntries',
  'descriptors',
  'rssMib',
] as const satisfies readonly (keyof Census)[]

/** Whether it is a zygote or was forked from one, which has the same command line. */
export function isOfZygote(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
    return words.includes('--zygote') && !words.includes('--args')
  } catch {
    return false
  }
}

/** Groups whose path holds the name, in every mounted hierarchy. */
function cgroupsNamed(name: string): number {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .flatMap((line) => line.split(' ').slice(4, 5))
  let count = 0
  for (const mountPoint of new Set(mounted)) {
    const toVisit = [mountPoint]
    for (const dir of toVisit) {
      if (dir.includes(name)) count += 1
      for (const entry of readdirSyncTyped(dir)) if (entry.isDirectory()) toVisit.push(join(dir, entry.name))
    }
  }
  return count
}

function readdirSyncTyped(dir: string) {
  try {
    return readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
}

function list(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function lines(file: string): number {
  try {
    return readFileSync(file, 'utf8').split('\n').length - 1
  } catch {
    return 0
  }
}
