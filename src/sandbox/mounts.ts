import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** One mount of the host, as a line of `/proc/self/mountinfo` tells it; proc(5). */
export interface HostMount {
  readonly id: string
  /** Of the mount that it lies on. */
  readonly parent: string
  /** Its file system, `major:minor`; not always what stat tells of a file there. */
  readonly device: string
  /** The directory or file of the file system that is seen at the mount point. */
  readonly root: string
  readonly mountPoint: string
  readonly type: string
  /** Of the file system, not of the mount. */
  readonly options: readonly string[]
}

/** The mounts that this process sees, as they are now; none where the kernel does not tell. */
export function hostMounts(): HostMount[] {
  try {
    return mountsIn(readFileSync('/proc/self/mountinfo', 'utf8'))
  } catch {
    return []
  }
}

/** @param mountinfo Text of `/proc/self/mountinfo`. */
export function mountsIn(mountinfo: string): HostMount[] {
  return mountinfo
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ')
      const [id = '', parent = '', device = '', root = '/', mountPoint = ''] = before.split(' ').map(unescape)
      const [type = '', , options = ''] = after.split(' ')
      return { id, parent, device, root, mountPoint, type, options: options.split(',') }
    })
}

/** A directory or file, by its place in its file system: the same by whichever mount it is seen. */
export interface FilePlace {
  readonly device: string
  readonly path: string
}

/**
 * @param path Absolute, with links followed; it need not be there.
 * @returns Undefined where no mount around it is known.
 */
export function placeOf(path: string, mounts: readonly HostMount[]): FilePlace | undefined {
  const ids = new Set(mounts.map(({ id }) => id))
  // From the root on, as the kernel goes: a mount may lie hidden below another one.
  let mount = mounts.find((one) => one.mountPoint === '/' && (one.parent === one.id || !ids.has(one.parent)))
  if (mount === undefined) return undefined
  for (;;) {
    const current: HostMount = mount
    const next = mounts
      .filter((one) => one.parent === current.id && one !== current && isWithin(path, one.mountPoint))
      .sort((one, other) => one.mountPoint.length - other.mountPoint.length)[0]
    if (next === undefined) break
    mount = next
  }
  const below = path.slice(mount.mountPoint === '/' ? 0 : mount.mountPoint.length)
  return { device: mount.device, path: resolve(`${mount.root}/${below}`) }
}

/** Whether a path is another one, or below it. */
export function isWithin(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir.endsWith('/') ? dir : `${dir}/`)
}

/** Space, tab, newline and backslash are written as octal numbers there. */
function unescape(field: string): string {
  return field.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}
