import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** What the figures were measured on. */
export interface Machine extends Host {
  readonly wrk: string
  readonly functionsFramework: string
  readonly workerd: string
}

/** A machine without what is installed on it. */
export interface Host {
  readonly cpu: string
  readonly cpuCount: number
  readonly memoryMib: number
  readonly kernel: string
  readonly node: string
  /** One-minute load average before the first run: above about 0.5 something else was busy. */
  readonly loadAverage: number
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** Describes this machine without what is installed on it. */
export function describeHost(): Host {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpuCount: processors.length,
    memoryMib: Math.round(totalmem() / 1024 / 1024),
    kernel: release(),
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
  }
}

/** Describes this machine. Throws when wrk is not installed. */
export function describeMachine(): Machine {
  const { dependencies, optionalDependencies }: Manifest = JSON.parse(
    readFileSync(new URL('package.json', import.meta.url), 'utf8'),
  )
  return {
    ...describeHost(),
    wrk: wrkVersion(),
    functionsFramework: dependencies['@google-cloud/functions-framework'] ?? 'unknown',
    workerd: optionalDependencies['@cloudflare/workerd-linux-64'] ?? 'unknown',
  }
}

function wrkVersion(): string {
  try {
    // wrk -v prints its version and its usage, and exits with 1.
    return execFileSync('sh', ['-c', 'wrk -v || true'], { encoding: 'utf8' }).split(/\s+/)[1] ?? 'unknown'
  } catch {
    throw new Error('wrk is not installed: apt-get install wrk')
  }
}
