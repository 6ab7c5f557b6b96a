import { existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError } from '../config/config-error.ts'
import { checkDataDir } from '../config/credentials.ts'

/** File systems that show the kernel and keep no files, by the numbers of linux/magic.h. Root is told that it may write there. */
const SHOWING_THE_KERNEL = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x63677270, 'cgroup2'],
  [0x27e0eb, 'cgroup'],
  [0x64626720, 'debugfs'],
  [0x74726163, 'tracefs'],
  [0x73636673, 'securityfs'],
  [0x1cd1, 'devpts'],
])

/**
 * Says whether a server could keep its data in a directory, as far as can be seen without changing anything.
 *
 * @throws {ConfigError} it could not.
 */
export function checkDataPlace(dataDir: string): void {
  checkDataDir(dataDir)
  const nearest = nearestAbove(dataDir)
  const kind = SHOWING_THE_KERNEL.get(statfsSync(nearest).type)
  if (kind === undefined) return
  throw new ConfigError([
    {
      what: `the data directory ${dataDir} cannot be used`,
      why: `${nearest} lies in a file system of the kernel (${kind}), which keeps no files`,
      fix: 'choose another with --data or ANVOKE_DATA_DIR',
    },
  ])
}

/** The directory itself, or where it is missing the nearest one above it. */
export function nearestAbove(path: string): string {
  let nearest = path
  while (!existsSync(nearest) && nearest !== dirname(nearest)) nearest = dirname(nearest)
  return nearest
}
