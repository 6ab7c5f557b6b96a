import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../sandbox.ts'

/** One place that is filled: from a source of the host, or with a symbolic link whose text is `source`. */
export interface Place extends Mount {
  readonly option: '--ro-bind' | '--symlink'
}

/**
 * What to make so that every mount is seen, also one inside another: in the order in which it is to be made.
 *
 * A mount is read-only, so nothing can be mounted inside it where its source has no entry for that. Such a mount is taken
 * apart: its entries get places of their own, beside the one of the mount inside. Where both have the same entry, the mount
 * inside is seen.
 *
 * @param most Longest list that is made.
 * @returns Undefined when it would be longer.
 */
export function placesOf(mounts: readonly Mount[], most: number): Place[] | undefined {
  const places: Place[] = []
  const add = (mount: Mount): boolean => {
    const inside = mounts.filter(({ target }) => target.startsWith(`${mount.target}/`))
    if (inside.every(({ source, target }) => hasRoomFor(mount, source, target)))
      places.push({ option: '--ro-bind', ...mount })
    else if (!readdirSync(mount.source).every((name) => addEntry(mount, name, inside))) return false
    return places.length <= most
  }
  const addEntry = (mount: Mount, name: string, inside: readonly Mount[]): boolean => {
    const entry = { source: join(mount.source, name), target: `${mount.target}/${name}` }
    if (inside.some(({ target }) => target === entry.target)) return true
    const stat = lstatSync(entry.source)
    const isAbove = inside.some(({ target }) => target.startsWith(`${entry.target}/`))
    if (isAbove && !stat.isDirectory()) return true
    if (!stat.isSymbolicLink()) return add(entry)
    places.push({ option: '--symlink', source: readlinkSync(entry.source), target: entry.target })
    return places.length <= most
  }
  // Shorter targets first, so that a mount inside another is not covered by it.
  const ordered = [...mounts].sort((a, b) => a.target.length - b.target.length)
  return ordered.every(add) ? places : undefined
}

/** Whether the outer mount's source has an entry of the right kind where the inner one goes, and no link on the way there. */
function hasRoomFor(outer: Mount, innerSource: string, innerTarget: string): boolean {
  let path = outer.source
  let stat: Stats | undefined
  for (const segment of innerTarget.slice(outer.target.length + 1).split('/')) {
    if (stat !== undefined && !stat.isDirectory()) return false
    path = join(path, segment)
    stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined || stat.isSymbolicLink()) return false
  }
  const inner = lstatSync(innerSource, { throwIfNoEntry: false })
  return stat?.isDirectory() === inner?.isDirectory()
}
