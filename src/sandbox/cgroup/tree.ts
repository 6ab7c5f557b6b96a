import { randomBytes } from 'node:crypto'
import { serverName } from '../server-name.ts'
import { openV1, openV2, type Branch, type Obstacle, type Opened } from './branches.ts'
import { sentencesOf, type CgroupAbilities } from './finding.ts'
import { CgroupGroup } from './group.ts'
import { mountedHierarchies, type Hierarchy } from './hierarchies.ts'
import { CONTROLLERS, type Controller, type GroupLimits } from './limits.ts'
import { removeStale } from './stale.ts'
import { tryBranches } from './trial.ts'

/** Groups made ahead, so that few starts wait for one. */
const SPARES = 4

/** Pause before a group that could not be removed is tried again. */
const RETRY_MS = 30_000

/** What this host's cgroups were found to do. */
export interface CgroupFinding extends CgroupAbilities {
  /** Which limits are exact, what is missing and what the operator can do: sentences. */
  readonly detail: string
  /** What the operator can do, a sentence each; empty where nothing is missing. */
  readonly remedies: readonly string[]
}

/**
 * The groups of this server: one parent in each hierarchy that can be used, below the server's own group, and below it one for
 * each instance. What a killed server left is removed by the next one.
 */
export class CgroupTree {
  readonly finding: CgroupFinding
  readonly #branches: readonly Branch[]
  readonly #stale: Promise<unknown>
  readonly #groups = new Set<CgroupGroup>()
  readonly #spares: CgroupGroup[] = []
  #made = 0
  #closed = false
  #moves: Promise<void> = Promise.resolve()

  private constructor(finding: CgroupFinding, branches: readonly Branch[], stale: Promise<unknown>) {
    this.finding = finding
    this.#branches = branches
    this.#stale = stale
  }

  /**
   * Finds out what this host offers by doing it: makes groups with limits, puts a process in, freezes it, ends it. Takes some 20 ms.
   * Never rejects: on a host without cgroups the tree makes no groups and its finding says why.
   */
  static async open(): Promise<CgroupTree> {
    const hierarchies = await mountedHierarchies()
    const stale = Promise.all(hierarchies.map(({ mountPoint }) => removeStale(mountPoint)))
    const { branches, obstacles } = await openBranches(hierarchies)
    const tried = await tryBranches(branches)
    const controllers = new Set(tried.branches.flatMap((branch) => [...branch.controllers]))
    const all = [...obstacles, ...tried.obstacles]
    const unexplained = CONTROLLERS.filter(
      (one) => !controllers.has(one) && !all.some((obstacle) => obstacle.controllers.includes(one)),
    )
    if (unexplained.length > 0) all.push(notMounted(unexplained))
    const abilities: CgroupAbilities = {
      controllers,
      countsSwap: tried.countsSwap,
      freezes: tried.freezes,
      versions: ([1, 2] as const).filter((version) => tried.branches.some((one) => one.version === version)),
    }
    const remedies = [...new Set(all.map(({ remedy }) => remedy))]
    const finding = { ...abilities, detail: sentencesOf(abilities, all), remedies }
    const tree = new CgroupTree(finding, tried.branches, stale)
    if (tried.branches.length > 0) tree.#fill()
    return tree
  }

  /** The directories that its groups are made in. */
  get dirs(): readonly string[] {
    return this.#branches.map(({ dir }) => dir)
  }

  /** A group with these limits; undefined where this host has none to offer. */
  create(limits: GroupLimits): CgroupGroup | undefined {
    if (this.#branches.length === 0) return undefined
    const group = this.#spares.shift() ?? this.#make()
    group.limit(limits)
    void group.ready.then(
      () => this.#fill(),
      () => undefined,
    )
    return group
  }

  /** Removes a group whose processes have ended; one that cannot be removed yet is tried again later. Never rejects. */
  async remove(group: CgroupGroup): Promise<void> {
    if (await group.remove()) this.#groups.delete(group)
    else if (!this.#closed) setTimeout(() => void this.remove(group), RETRY_MS).unref()
  }

  /** Removes all that was made. The processes in it must have ended. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#moves
    await Promise.all([...this.#groups].map(async (group) => await group.remove()))
    await Promise.all(this.#branches.map(async (branch) => await branch.close()))
    await this.#stale
  }

  #make(): CgroupGroup {
    this.#made += 1
    const group = new CgroupGroup(
      this.#branches,
      `i${this.#made}`,
      this.finding.freezes,
      async (move) => await this.#inTurn(move),
    )
    this.#groups.add(group)
    return group
  }

  #fill(): void {
    while (!this.#closed && this.#spares.length < SPARES) this.#spares.push(this.#make())
  }

  #inTurn(move: () => Promise<void>): Promise<void> {
    const moved = this.#moves.then(move)
    this.#moves = moved.catch(() => undefined)
    return moved
  }
}

async function openBranches(
  hierarchies: readonly Hierarchy[],
): Promise<{ branches: readonly Branch[]; obstacles: readonly Obstacle[] }> {
  const name = serverName()
  const suffix = randomBytes(3).toString('hex')
  const v1 = await Promise.all(
    hierarchies.filter(({ version }) => version === 1).map(async (one) => await openV1(one, name, suffix)),
  )
  const opened: Opened[] = [...v1]
  const unified = hierarchies.find(({ version }) => version === 2)
  const bound = new Set<Controller>(
    v1.flatMap(({ branch, obstacle }) => [...(branch?.controllers ?? []), ...(obstacle?.controllers ?? [])]),
  )
  if (unified !== undefined)
    opened.push(
      await openV2(
        unified,
        name,
        suffix,
        CONTROLLERS.filter((one) => !bound.has(one)),
      ),
    )
  return {
    branches: opened.flatMap(({ branch }) => branch ?? []),
    obstacles: opened.flatMap(({ obstacle }) => obstacle ?? []),
  }
}

function notMounted(controllers: readonly Controller[]): Obstacle {
  return {
    controllers,
    reason: `no cgroup hierarchy with ${controllers.join(', ')} is mounted`,
    remedy: 'Mount one at /sys/fs/cgroup.',
  }
}
