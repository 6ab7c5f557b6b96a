import { homedir, availableParallelism, totalmem } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** What defaults depend on. */
export interface Host {
  /** Where data goes when nobody says. */
  readonly dataDir: string
  /** CPU cores this process may use, at least 1. */
  readonly cores: number
  /** Memory this process and its children may use, bytes. */
  readonly memoryBytes: number
}

/** Looks at the machine and at the variables by which service managers and desktops assign places. */
export function inspectHost(environment: NodeJS.ProcessEnv): Host {
  return {
    dataDir: defaultDataDir(environment),
    cores: availableParallelism(),
    memoryBytes: availableMemory(),
  }
}

/** systemd's STATE_DIRECTORY, such as /var/lib/anvoke; else XDG_DATA_HOME/anvoke; else ~/.local/share/anvoke. */
function defaultDataDir(environment: NodeJS.ProcessEnv): string {
  const [assigned] = (environment['STATE_DIRECTORY'] ?? '').split(':')
  if (assigned !== undefined && isAbsolute(assigned)) return assigned
  const dataHome = environment['XDG_DATA_HOME'] ?? ''
  // The XDG specification says to ignore a relative one.
  if (isAbsolute(dataHome)) return join(dataHome, 'anvoke')
  return join(homedir(), '.local', 'share', 'anvoke')
}

/** A container's limit where there is one: Node reports 0 or an astronomical number where there is none. */
function availableMemory(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
