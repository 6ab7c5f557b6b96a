import { mkdir, open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { sendKill } from '../child.ts'
import type { Branch } from './branches.ts'
import {
  codeOf,
  fieldOf,
  glimpse,
  numberIn,
  readControl,
  readNumber,
  readPids,
  removeGroup,
  setControl,
} from './control-file.ts'
import { withoutDeadLeaders } from './dead-leaders.ts'
import { settingsFor, weightSetting, type Controller, type GroupLimits } from './limits.ts'

/** Memory of a group, bytes: of its processes and what the kernel keeps for them, without caches of files and files kept in memory. */
export interface GroupUsage {
  readonly currentBytes: number
  /** Highest since the start, or since {@link CgroupGroup.resetPeak}. */
  readonly peakBytes: number
}

/** Growth that nobody has to be told of at once. */
const SMALL_GROWTH_BYTES = 1024 * 1024

/** How often processes are moved, each time those that were started meanwhile, before no more may be started; then as often again. */
const MOVE_PASSES = 5

/** Files of the two versions; Linux, admin-guide/cgroup-v1/memory and cgroup-v2. */
const USED = { 1: 'memory.usage_in_bytes', 2: 'memory.current' } as const
const KILLS = { 1: 'memory.oom_control', 2: 'memory.events' } as const

/** Parts of `memory.stat` that no process has asked for as memory; Linux, admin-guide/cgroup-v1/memory and cgroup-v2. */
const FILES = ['inactive_file', 'active_file', 'shmem']

/** Runs a move of a process; the kernel does one at a time, so that more would only hold threads of the pool. */
export type InTurn = (move: () => Promise<void>) => Promise<void>

/** The limits of one process tree: a group in each hierarchy that the server has a {@link Branch} in. */
export class CgroupGroup {
  /** Files of the group: a process without threads enters by writing 0 into each, once {@link ready} has resolved. */
  readonly entries: readonly string[]
  readonly limitsMemory: boolean
  readonly canFreeze: boolean
  readonly #places: readonly Place[]
  readonly #made: Promise<void>
  #limited: Promise<void>
  readonly #memory: Place | undefined
  readonly #core: string | undefined
  readonly #inTurn: InTurn
  readonly #isEnteredLate: boolean
  /** What bounds its processes, while they are not to become more. */
  readonly #forks: Place | undefined
  #tasks = 0
  #peakFile: FileHandle | undefined
  #freezer: FileHandle | undefined
  #highestBytes = 0
  /** What {@link usage} found last, caches of files included. */
  #usedBytes = -Infinity
  /** Its part of the processors from {@link hurry} on; undefined: it has it. */
  #laterWeight: number | undefined
  #weighing: Promise<void> = Promise.resolve()
  /** The last write of the freezer: each waits for the one before. */
  #freezing: Promise<void> = Promise.resolve()
  #isToBeFrozen = false
  /** The last entry of the v2 group: each waits for the one before. */
  #entering: Promise<void> = Promise.resolve()
  /** Settles when processes may be started again; undefined: they may. */
  #barring: Promise<void> | undefined
  /** What was written last. */
  #isFrozen = false
  /** It is being ended: nothing inside is stopped any more. */
  #isOver = false
  #removal: Promise<boolean> | undefined

  /**
   * Makes the groups, without limits yet.
   *
   * @param name The same in every branch, and used once.
   * @param canFreeze Whether freezing was seen to work here.
   * @param inTurn Does one move after another.
   */
  constructor(
    branches: readonly Branch[],
    name: string,
    canFreeze: boolean,
    inTurn: InTurn = (move) => move(),
  ) {
    this.#inTurn = inTurn
    this.#places = branches.map(({ version, controllers, dir }) => ({
      version,
      controllers,
      dir: join(dir, name),
    }))
    this.#memory = this.#places.find(({ controllers }) => controllers.has('memory'))
    const unified = this.#places.find(({ version }) => version === 2)
    this.#core = unified?.dir
    const isLimitedByV1 = this.#places.some(({ version }) => version === 1)
    // A v2 group that limits nothing is entered when it is first needed: of the two it is the slow one to enter.
    this.#isEnteredLate = isLimitedByV1 && unified?.controllers.size === 0
    this.entries = this.#places
      .filter((place) => place !== unified || !this.#isEnteredLate)
      .map(({ version, dir }) => join(dir, version === 1 ? 'tasks' : 'cgroup.procs'))
    this.#forks = this.#places.find(({ controllers }) => controllers.has('pids'))
    this.limitsMemory = this.#memory !== undefined
    this.canFreeze = canFreeze && this.#core !== undefined
    this.#made = this.#make()
    this.#limited = this.#made
    // Told by `ready`; a group that is never used is no reason to end the server.
    this.#made.catch(() => undefined)
  }

  /** Resolves when the group is there with its limits. Rejects when one of them cannot be set. */
  get ready(): Promise<void> {
    return this.#limited
  }

  /** Sets its limits, before a process is put in. What goes wrong is told by {@link ready}. */
  limit(limits: GroupLimits): void {
    this.#tasks = limits.tasks
    this.#limited = this.#made.then(() => this.#setLimits(limits))
    this.#laterWeight = limits.isAhead === true ? limits.cpuWeight : undefined
    this.#limited.catch(() => undefined)
  }

  /** Gives it, soon, the whole part of the processors that its limits name, if it was ahead so far. Never throws. */
  hurry(): void {
    const place = this.#places.find(({ controllers }) => controllers.has('cpu'))
    if (this.#laterWeight === undefined || place === undefined) return
    const { file, value } = weightSetting(place.version, this.#laterWeight)
    this.#laterWeight = undefined
    this.#weighing = this.#limited.then(() => setControl(join(place.dir, file), value)).catch(() => undefined)
  }

  /**
   * Puts a process in from outside, with all its threads.
   *
   * @throws With the system's reason, also when a limit could not be set; a process that has ended is ESRCH.
   */
  async attach(pid: number): Promise<void> {
    await this.#limited
    await this.#inTurn(async () => {
      for (const { dir } of this.#places) await setControl(join(dir, 'cgroup.procs'), pid)
    })
  }

  /** Memory now and its peak; undefined where it is not counted or the group is gone. */
  async usage(): Promise<GroupUsage | undefined> {
    if (this.#memory === undefined) return undefined
    const { dir, version } = this.#memory
    const [used, highest, stat] = await Promise.all([
      readNumber(join(dir, USED[version])),
      this.#readPeak(this.#memory),
      readControl(join(dir, 'memory.stat')),
    ])
    if (used === undefined) return undefined
    this.#usedBytes = used
    const prefix = version === 1 ? 'total_' : ''
    // Caches, which the kernel gives up before it refuses anything, and what lies in `/tmp`, which has a size of its own.
    let filesBytes = 0
    for (const field of FILES) filesBytes += fieldOf(stat, `${prefix}${field}`) ?? 0
    const currentBytes = Math.max(0, used - filesBytes)
    this.#highestBytes = Math.max(this.#highestBytes, currentBytes, (highest ?? 0) - filesBytes)
    return { currentBytes, peakBytes: this.#highestBytes }
  }

  /**
   * Whether it surely has no more than this, all that the kernel counts has hardly grown since {@link usage}, and the kernel has killed
   * nothing in it. False says nothing. Cheap: looked at in passing.
   */
  staysWithin(limitBytes: number): boolean {
    if (this.#memory === undefined) return false
    const { dir, version } = this.#memory
    // Nothing is left out of it: what counts is less.
    const used = numberIn(glimpse(join(dir, USED[version])))
    if (used === undefined || used > Math.min(limitBytes, this.#usedBytes + SMALL_GROWTH_BYTES)) return false
    return fieldOf(glimpse(join(dir, KILLS[version])), 'oom_kill') === 0
  }

  /** Begins a new peak. Where the kernel cannot (v2 before Linux 6.12) the old one stays. @returns Whether it could. */
  async resetPeak(): Promise<boolean> {
    if (this.#memory === undefined) return false
    const { dir, version } = this.#memory
    try {
      if (version === 1) await setControl(join(dir, 'memory.max_usage_in_bytes'), 0)
      else await (await this.#openPeak(dir)).write('0\n', 0)
    } catch {
      return false
    }
    this.#highestBytes = 0
    return true
  }

  /** How many of its processes the kernel has killed because the group was over its memory. */
  async oomKills(): Promise<number> {
    if (this.#memory === undefined) return 0
    const { dir, version } = this.#memory
    const text = await readControl(join(dir, KILLS[version]))
    return fieldOf(text, 'oom_kill') ?? 0
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /**
   * Stops everything inside, soon. {@link kill} and SIGKILL still end it.
   *
   * @param onFailure Called with the reason when something inside may go on although it is to stand still.
   */
  freeze(onFailure: (reason: unknown) => void = () => undefined): void {
    if (!this.canFreeze || this.#isToBeFrozen) return
    this.#isToBeFrozen = true
    this.#freezeInside().catch((error: unknown) => {
      if (this.#isToBeFrozen && !this.#isOver) onFailure(error)
    })
  }

  /** Lets everything inside go on, and start processes. @throws When the kernel refuses. */
  async thaw(): Promise<void> {
    if (!this.#isToBeFrozen) return
    this.#isToBeFrozen = false
    await this.#barring
    await this.#setFreezer()
  }

  /**
   * Ends everything inside at once, where the kernel can (v2, Linux 5.14). Else it is thawed, so that launchers see what they
   * have started end by other means. @returns Whether the kernel was asked to.
   */
  async kill(): Promise<boolean> {
    // Whatever a freeze that is under way still moves in would be stopped for ever, where it has to see the rest end.
    this.#isOver = true
    if (this.#core === undefined) return false
    return await setControl(join(this.#core, 'cgroup.kill'), 1).then(
      () => true,
      async () => {
        await this.thaw().catch(() => undefined)
        return false
      },
    )
  }

  /**
   * Removes the groups, of a tree that has ended: what still runs in them is killed. Safe to call again, also after it failed.
   *
   * @returns Whether they are gone.
   */
  remove(): Promise<boolean> {
    this.#removal ??= this.#remove().then((isGone) => {
      if (!isGone) this.#removal = undefined
      return isGone
    })
    return this.#removal
  }

  async #make(): Promise<void> {
    await Promise.all(this.#places.map(async ({ dir }) => await mkdir(dir)))
  }

  async #setLimits(limits: GroupLimits): Promise<void> {
    await Promise.all(
      this.#places.map(async ({ version, controllers, dir }) => {
        for (const { file, value, isNeeded } of settingsFor(version, controllers, limits))
          await setControl(join(dir, file), value).catch((error: unknown) => {
            if (isNeeded) throw error
          })
      }),
    )
  }

  async #remove(): Promise<boolean> {
    await this.#limited.catch(() => undefined)
    await this.#weighing
    await this.#entering.catch(() => undefined)
    await this.#freezing.catch(() => undefined)
    for (const file of [this.#peakFile, this.#freezer]) await file?.close().catch(() => undefined)
    this.#peakFile = undefined
    this.#freezer = undefined
    const killLeft = async (dir: string): Promise<void> => {
      for (const pid of await readPids(join(dir, 'cgroup.procs'))) sendKill(pid)
    }
    const removed = await Promise.all(
      this.#places.map(({ dir }) => removeGroup(dir, async () => await killLeft(dir))),
    )
    return removed.every(Boolean)
  }

  async #freezeInside(): Promise<void> {
    this.#entering = this.#entering.catch(() => undefined).then(() => this.#enterCore())
    await this.#entering
    await this.#setFreezer()
  }

  /** Moves everything to the v2 group, if it is not there yet. */
  async #enterCore(): Promise<void> {
    const from = this.#places.find(({ version }) => version === 1)
    if (!this.#isEnteredLate || this.#core === undefined || from === undefined) return
    const core = this.#core
    const move = async (): Promise<boolean> => await this.#moveAll(from.dir, core)
    // Processes that each start one more and end are gone before their move: then none may be started until all are moved.
    if ((await move()) || (this.#forks !== undefined && (await this.#withoutForks(this.#forks, move)))) return
    throw new Error('its processes multiply faster than they are moved')
  }

  /** @returns Whether all are in `core`, or need not be any more. */
  async #moveAll(from: string, core: string): Promise<boolean> {
    const target = join(core, 'cgroup.procs')
    for (let pass = 1; pass <= MOVE_PASSES && this.#isToBeFrozen && !this.#isOver; pass += 1) {
      const inside = new Set(await readPids(target))
      const listed = (await readPids(join(from, 'cgroup.procs'))).filter((pid) => !inside.has(pid))
      const outside = await withoutDeadLeaders(listed, core)
      if (outside.length === 0) return true
      await this.#inTurn(async () => {
        for (const pid of outside)
          await setControl(target, pid).catch((error: unknown) => {
            if (codeOf(error) !== 'ESRCH') throw error
          })
      })
    }
    return !this.#isToBeFrozen || this.#isOver
  }

  async #withoutForks<T>({ dir }: Place, work: () => Promise<T>): Promise<T> {
    const file = join(dir, 'pids.max')
    const during = async (): Promise<T> => {
      try {
        await setControl(file, 0)
        return await work()
      } finally {
        await setControl(file, this.#tasks)
      }
    }
    const result = during()
    this.#barring = result.then(
      () => undefined,
      () => undefined,
    )
    return await result.finally(() => (this.#barring = undefined))
  }

  /** Writes what is wanted by then, after the write before. */
  async #setFreezer(): Promise<void> {
    const write = async (): Promise<void> => {
      if (this.#isFrozen === this.#isToBeFrozen || this.#core === undefined) return
      if (this.#isOver && this.#isToBeFrozen) return
      this.#isFrozen = this.#isToBeFrozen
      // Kept open: the thaw is on the way of a call.
      this.#freezer ??= await open(join(this.#core, 'cgroup.freeze'), 'r+')
      await this.#freezer.write(this.#isFrozen ? '1' : '0', 0)
    }
    this.#freezing = this.#freezing.catch(() => undefined).then(write)
    await this.#freezing
  }

  async #readPeak({ dir, version }: Place): Promise<number | undefined> {
    if (version === 1) return await readNumber(join(dir, 'memory.max_usage_in_bytes'))
    if (this.#peakFile === undefined) return await readNumber(join(dir, 'memory.peak'))
    const buffer = Buffer.alloc(32)
    const { bytesRead } = await this.#peakFile.read(buffer, 0, buffer.length, 0)
    return Number.parseInt(buffer.toString('latin1', 0, bytesRead), 10) || undefined
  }

  /** A peak that was begun anew is seen through the descriptor alone that began it; Linux, admin-guide/cgroup-v2. */
  async #openPeak(dir: string): Promise<FileHandle> {
    this.#peakFile ??= await open(join(dir, 'memory.peak'), 'r+')
    return this.#peakFile
  }
}

interface Place {
  readonly version: 1 | 2
  readonly controllers: ReadonlySet<Controller>
  readonly dir: string
}
