import { PackageError, shorten } from './package-error.ts'

/** Linux follows at most 40 links in one path; a longer chain would be dead at run time. */
const LINK_HOPS = 40

interface Resolution {
  readonly segments: readonly string[]
  readonly hops: number
}

/**
 * Refuses symbolic links that could lead out of the tree.
 *
 * Each target is walked as the kernel would: segment by segment, replacing every link met on the way, `..` taken from
 * where the walk really is. A target that is missing is walked as if it were a folder, so a link may dangle, but only
 * inside.
 *
 * @param targets Link path → target, both relative to the root and `/`-separated. Paths must not pass through links.
 * @param pathDepth Segments a walk may be deep at any point.
 * @throws {PackageError} `unsafe-entry` with `link-escapes` (also for absolute targets), `link-loop` (a circle, or more
 *   than 40 links in a row) or `link-target` (empty); `path-too-long` past `pathDepth`.
 */
export function checkLinksStayInside(targets: ReadonlyMap<string, string>, pathDepth: number): void {
  const resolved = new Map<string, Resolution | 'underway'>()
  let depth = 0

  function resolve(link: string, target: string): Resolution {
    const known = resolved.get(link)
    if (known === 'underway') throw new PackageError('unsafe-entry', unsafe(link, 'link-loop'))
    if (known !== undefined) return known
    if (target === '') throw new PackageError('unsafe-entry', unsafe(link, 'link-target'))
    if (target.startsWith('/')) throw new PackageError('unsafe-entry', unsafe(link, 'link-escapes'))
    if (depth >= LINK_HOPS) throw new PackageError('unsafe-entry', unsafe(link, 'link-loop'))
    resolved.set(link, 'underway')
    depth += 1
    const resolution = walk(link, target)
    depth -= 1
    resolved.set(link, resolution)
    return resolution
  }

  function walk(link: string, target: string): Resolution {
    let segments = link.split('/').slice(0, -1)
    let hops = 1
    for (const segment of target.split('/')) {
      if (segment === '' || segment === '.') continue
      if (segment === '..') {
        if (segments.length === 0) throw new PackageError('unsafe-entry', unsafe(link, 'link-escapes'))
        segments.pop()
        continue
      }
      segments.push(segment)
      if (segments.length > pathDepth) throw new PackageError('path-too-long', { entryName: shorten(link) })
      const path = segments.join('/')
      const nextTarget = targets.get(path)
      if (nextTarget === undefined) continue
      const next = resolve(path, nextTarget)
      hops += next.hops
      if (hops > LINK_HOPS) throw new PackageError('unsafe-entry', unsafe(link, 'link-loop'))
      segments = [...next.segments]
    }
    return { segments, hops }
  }

  for (const [link, target] of targets) resolve(link, target)
}

function unsafe(link: string, reason: 'link-escapes' | 'link-loop' | 'link-target') {
  return { reason, entryName: shorten(link) }
}
