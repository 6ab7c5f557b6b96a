import { existsSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../config/config-error.ts'
import type { Config } from '../config/schema.ts'
import type { examineDatabase, examineHostFor } from '../main.ts'
import { checkDataPlace, nearestAbove } from './data-place.ts'
import { shellWord } from './shell-word.ts'
import { mendingOf } from './start-errors.ts'

/** What was found out about one thing that functions run on. */
export type Finding = Awaited<ReturnType<typeof examineHostFor>>[number]

const MIB = 1024 * 1024
/** Descriptors of one instance in the server: channel, two streams, ticket book, arguments, status, and some to spare. */
const DESCRIPTORS_PER_INSTANCE = 10
/** Files of the store, logs that are open, the listener, and what Node.js itself needs. */
const DESCRIPTORS_OF_SERVER = 256
/** Below it, one large code package with its unpacked tree can fill the disk. */
const LEAST_FREE_MIB = 1024

/** The Node.js that runs the server; an older one does not get here. */
export function nodeFinding(): Finding {
  const detail = `${process.versions.node} (${process.execPath})`
  return { name: 'Node.js of the server', ok: true, required: true, detail }
}

/** Whether as many files can be open as the settings let connections and instances be. */
export function descriptorFinding(
  { maxConnections, maxInstances }: Pick<Config, 'maxConnections' | 'maxInstances'>,
  limits = readFileSync('/proc/self/limits', 'utf8'),
): Finding {
  // Node.js raises the soft limit to the hard one when it starts.
  const limit = Number(/^Max open files +\S+ +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  const needed = maxConnections + maxInstances * DESCRIPTORS_PER_INSTANCE + DESCRIPTORS_OF_SERVER
  const common = { name: 'file descriptors', required: false }
  if (limit >= needed) return { ...common, ok: true, detail: `${limit} at most, ${needed} may be needed` }
  return {
    ...common,
    ok: false,
    detail:
      `${limit} at most, but ${needed} may be needed: ${maxConnections} connections (maxConnections), ` +
      `${maxInstances} instances (maxInstances)`,
    fix: `ulimit -n ${needed} in the shell that starts the server, or LimitNOFILE=${needed} in its systemd unit`,
  }
}

/** Whether the data directory can be used, is closed to others, and has room; nothing is made for it. */
export function dataDirFindings(dataDir: string): Finding[] {
  const name = 'data directory'
  try {
    checkDataPlace(dataDir)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.complaints.map(({ what, why, fix }) => ({
      name,
      ok: false,
      required: true,
      detail: `${what}: ${why}`,
      fix,
    }))
  }
  const isThere = existsSync(dataDir)
  const place = isThere ? dataDir : nearestAbove(dataDir)
  return [isThere ? accessFinding(name, dataDir) : unmade(name, dataDir, place), roomFinding(place)]
}

/** Whether the database of a data directory can be read; nothing where there is none yet. */
export function databaseFindings(dataDir: string, examine: typeof examineDatabase): Finding[] {
  const name = 'database'
  const file = join(dataDir, 'anvoke.db')
  const found = examine(file, [join(dataDir, 'packages')])
  switch (found.state) {
    case 'absent':
      return []
    case 'in-use':
      return [
        { name, ok: true, required: false, detail: `${file} is in use by a server: it was not looked into` },
      ]
    case 'sound':
      return [
        {
          name,
          ok: true,
          required: false,
          detail: `${file}, ${found.mib} MiB, hangs together (quick_check)`,
        },
      ]
    case 'unexamined':
      return [{ name, ok: true, required: false, detail: `${file} was not looked into: ${found.reason}` }]
    case 'emptied':
      return [{ name, ok: false, required: true, detail: found.reason, fix: found.fix }]
    case 'damaged':
      return [
        {
          name,
          ok: false,
          required: true,
          detail: `${file} is damaged: ${found.reason}`,
          fix: mendingOf(file),
        },
      ]
  }
}

/**
 * Whether what the server keeps lies where functions look; nothing where all is well.
 *
 * @param check Throws `ShownToFunctions` where it does.
 */
export function placeFindings(check: () => void): Finding[] {
  try {
    check()
    return []
  } catch (error) {
    const isTold =
      error instanceof Error && error.name === 'ShownToFunctions' && 'what' in error && 'fix' in error
    if (!isTold) throw error
    const detail = `${String(error.what)}: ${error.message}`
    return [{ name: 'place of data', ok: false, required: true, detail, fix: String(error.fix) }]
  }
}

function unmade(name: string, dataDir: string, above: string): Finding {
  return {
    name,
    ok: true,
    required: true,
    detail: `${dataDir} will be made by the first start; ${above} can be written`,
  }
}

function accessFinding(name: string, dataDir: string): Finding {
  const { mode } = statSync(dataDir)
  const shown = (mode & 0o777).toString(8).padStart(4, '0')
  if ((mode & 0o077) === 0) return { name, ok: true, required: false, detail: `${dataDir}, mode ${shown}` }
  return {
    name,
    ok: false,
    required: false,
    detail: `${dataDir} has mode ${shown}: other users can look into it`,
    fix: `chmod 700 ${shellWord(dataDir)}`,
  }
}

function roomFinding(place: string): Finding {
  const { bavail, bsize } = statfsSync(place)
  const freeMib = Math.floor((bavail * bsize) / MIB)
  const common = { name: 'room for data', required: false, detail: `${freeMib} MiB free at ${place}` }
  if (freeMib >= LEAST_FREE_MIB) return { ...common, ok: true }
  return { ...common, ok: false, fix: 'make room there, or choose another directory with --data' }
}
