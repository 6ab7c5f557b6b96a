import { readFile } from 'node:fs/promises'
import { join, normalize } from 'node:path'
import { mountsIn, type HostMount } from '../mounts.ts'

/** One tree of cgroups that this host has mounted. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** What a v1 tree controls, such as `memory`. Those of v2 are in its `cgroup.controllers`. */
  readonly controllers: readonly string[]
  readonly mountPoint: string
  /** Directory of the server's own group, as far as the two files tell; whether it is one shows its `cgroup.procs`. */
  readonly ownDir: string
}

/** The server's own group in every mounted hierarchy, as it is now. Never rejects. */
export async function mountedHierarchies(): Promise<Hierarchy[]> {
  try {
    return hierarchiesOf(
      await readFile('/proc/self/cgroup', 'utf8'),
      await readFile('/proc/self/mountinfo', 'utf8'),
    )
  } catch {
    return []
  }
}

/**
 * Finds the server's own group in every mounted hierarchy.
 *
 * A path in `/proc/self/cgroup` counts from the root of the cgroup namespace, and a mount may show only a part of the
 * tree: its root field says which. Where the two do not fit together, the mount is taken to begin at the server's group, as
 * containers without a cgroup namespace show it.
 *
 * @param cgroup Text of `/proc/self/cgroup`; cgroups(7).
 * @param mountinfo Text of `/proc/self/mountinfo`; proc(5).
 */
export function hierarchiesOf(cgroup: string, mountinfo: string): Hierarchy[] {
  const mounts = cgroupMountsIn(mountinfo)
  return cgroup
    .split('\n')
    .filter(Boolean)
    .flatMap((line) => {
      const [, names = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
      const controllers = names.split(',').filter(Boolean)
      const version = controllers.length === 0 ? 2 : 1
      const mount = mounts.find(
        (one) =>
          one.version === version &&
          (version === 2 || controllers.some((name) => one.options.includes(name))),
      )
      if (mount === undefined) return []
      const { mountPoint, root } = mount
      return [{ version, controllers, mountPoint, ownDir: ownDirOf(mountPoint, root, path) }]
    })
}

interface CgroupMount extends HostMount {
  readonly version: 1 | 2
}

function cgroupMountsIn(mountinfo: string): CgroupMount[] {
  return mountsIn(mountinfo).flatMap((mount) => {
    if (mount.type !== 'cgroup' && mount.type !== 'cgroup2') return []
    return [{ ...mount, version: mount.type === 'cgroup2' ? 2 : 1 } as const]
  })
}

function ownDirOf(mountPoint: string, root: string, path: string): string {
  const isBelow = root === '/' || path === root || path.startsWith(`${root}/`)
  const below = normalize(join(mountPoint, root === '/' ? path : path.slice(root.length)))
  const isInside = below === mountPoint || below.startsWith(`${mountPoint}/`)
  return isBelow && isInside ? below.replace(/\/$/, '') : mountPoint
}
