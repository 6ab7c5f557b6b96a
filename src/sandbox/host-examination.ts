import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import {
  InterpreterUnusable,
  discoverInterpreters,
  type DiscoverySettings,
  type Interpreter,
  type Language,
  type PassedOver,
} from './interpreters.ts'
import { findProgram, probeSandboxes, type SandboxOptions } from './probe.ts'
import { installCommand, userNamespaceCommand } from './remedies.ts'
import { substitutionsOf } from './runtimes.ts'
import type { ProbeFinding } from './sandbox.ts'
import { memoryBackedDir } from './server-directory.ts'

/** What was found out about one thing that functions run on. */
export interface HostFinding {
  /** What was looked at, such as `sandbox bwrap`; stays the same from version to version. */
  readonly name: string
  readonly ok: boolean
  /** Without it, functions do not run isolated, or do not run. */
  readonly required: boolean
  /** What was found, in words for the operator. */
  readonly detail: string
  /** A command to type, where there is one, else a sentence; absent when nothing needs to be done. */
  readonly fix?: string
}

/** Programs that take part in a start, and what is lost without them. */
const PROGRAMS = [
  { program: 'setpriv', without: 'functions of a server that is root do not get a user id of their own' },
  {
    program: 'prlimit',
    without: 'core dumps, the size of files, open files and, for ordinary users, processes have no limit',
  },
] as const

const PRODUCTS = [
  { language: 'nodejs', name: 'Node.js for functions', install: 'nodejs', setting: '--node-path' },
  { language: 'python', name: 'Python for functions', install: 'python3', setting: '--python-path' },
] as const

/** From linux/magic.h. */
const TMPFS_MAGIC = 0x01021994
const MIB = 1024 * 1024
/** Ticket books and small files of some hundred instances. */
const LEAST_MEMORY_BACKED_MIB = 16

/**
 * Looks at everything that functions run on: every sandbox driver is run once, every interpreter is asked for its version.
 * Leaves nothing behind.
 *
 * @param options.programDirs Where launchers are looked for.
 * @returns In the order in which they matter. Guards that a driver's probe tells of follow their driver, whatever they are.
 */
export async function examineHost(
  settings: DiscoverySettings = {},
  options: SandboxOptions = {},
): Promise<readonly HostFinding[]> {
  const temporary = temporaryDirFinding()
  const [probed, interpreters] = await Promise.all([
    // Each driver makes a directory of its own there.
    temporary.ok ? probeSandboxes(options) : [],
    interpreterFindings(settings),
  ])
  return [
    ...probed.flatMap((finding) => [driverFinding(finding, options), ...guardFindings(finding)]),
    ...PROGRAMS.map(({ program, without }) => programFinding(program, without, options)),
    ...interpreters,
    memoryBackedFinding(),
    temporary,
  ]
}

function temporaryDirFinding(): HostFinding {
  const dir = tmpdir()
  const common = { name: 'temporary directory', required: true }
  try {
    accessSync(dir, constants.W_OK | constants.X_OK)
    return { ...common, ok: true, detail: dir }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return {
      ...common,
      ok: false,
      detail: `no sandbox can be made: ${why}`,
      fix: 'make it writable for this user, or name another in the variable TMPDIR',
    }
  }
}

function driverFinding(finding: ProbeFinding, options: SandboxOptions): HostFinding {
  const { driver, works, guards = [] } = finding
  // The guards get lines of their own.
  const detail = guards.reduce((text, guard) => text.replace(guard.detail, '').trim(), finding.detail)
  const common = { name: `sandbox ${driver}`, ok: works, required: driver === 'bwrap', detail }
  if (works || driver !== 'bwrap') return common
  const fix = bwrapFix(options)
  return fix === undefined ? common : { ...common, fix }
}

function guardFindings({ guards = [] }: ProbeFinding): HostFinding[] {
  return guards.map(({ name, works, detail, fix }) => ({
    name,
    ok: works,
    required: false,
    ...(works || fix === undefined ? { detail } : { detail: detail.replace(` ${fix}`, ''), fix }),
  }))
}

function bwrapFix(options: SandboxOptions): string | undefined {
  const isMissing = (program: string): boolean => findProgram(program, options) === undefined
  const packages = [
    ...(isMissing('bwrap') ? ['bubblewrap'] : []),
    ...(process.getuid?.() === 0 && isMissing('setpriv') ? ['util-linux'] : []),
  ]
  return packages.length > 0 ? installCommand(packages) : userNamespaceCommand()
}

function programFinding(program: string, without: string, options: SandboxOptions): HostFinding {
  const path = findProgram(program, options)
  const common = { name: program, ok: path !== undefined, required: false }
  if (path !== undefined) return { ...common, detail: path }
  return { ...common, detail: `is not installed: ${without}`, fix: installCommand(['util-linux']) }
}

async function interpreterFindings(settings: DiscoverySettings): Promise<readonly HostFinding[]> {
  try {
    const passedOver: PassedOver[] = []
    const interpreters = await discoverInterpreters({
      ...settings,
      onPassedOver: (one) => void passedOver.push(one),
    })
    return [
      ...PRODUCTS.map(({ language, name, install }) =>
        languageFinding(language, name, install, interpreters),
      ),
      ...passedOver.map(({ path, why }) => ({
        name: 'interpreter passed over',
        ok: false,
        required: false,
        detail: `${path} ${why}`,
        fix: 'choose another data directory with --data, or install the interpreter in a directory of its own',
      })),
    ]
  } catch (error) {
    if (!(error instanceof InterpreterUnusable)) throw error
    const named = PRODUCTS.find(({ language }) => (language === 'nodejs') === (error.setting === 'nodePath'))
    return [
      {
        name: named?.name ?? error.setting,
        ok: false,
        required: true,
        detail: error.message,
        fix: `name another with ${named?.setting ?? error.setting}, or none`,
      },
    ]
  }
}

function languageFinding(
  language: Language,
  name: string,
  install: string,
  interpreters: readonly Interpreter[],
): HostFinding {
  const found = interpreters.filter((interpreter) => interpreter.language === language)
  if (found.length > 0) {
    const here = found.map(({ version, path }) => `${version} (${path})`).join(', ')
    const instead = [...substitutionsOf(language, found)].map(
      ([version, named]) => `functions for ${named.join(', ')} run on ${version}`,
    )
    return { name, ok: true, required: false, detail: [here, ...instead].join('; ') }
  }
  const detail = 'none was found: functions in this language do not run'
  return { name, ok: false, required: false, detail, fix: installCommand([install]) }
}

function memoryBackedFinding(): HostFinding {
  const dir = memoryBackedDir()
  const { type, bavail, bsize } = statfsSync(dir)
  const freeMib = Math.floor((bavail * bsize) / MIB)
  const isMemory = type === TMPFS_MAGIC
  const common = { name: 'memory-backed directory', required: false }
  if (isMemory && freeMib >= LEAST_MEMORY_BACKED_MIB)
    return { ...common, ok: true, detail: `${dir}, ${freeMib} MiB free` }
  const detail = isMemory
    ? `${dir} has ${freeMib} MiB left, which instances may use up`
    : `/dev/shm cannot be used, so starts write to ${dir} and may wait for a disk`
  const fix = isMemory
    ? `mount -o remount,size=1g ${dir}`
    : 'mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm; for a container: --tmpfs /dev/shm'
  return { ...common, ok: false, detail, fix }
}
