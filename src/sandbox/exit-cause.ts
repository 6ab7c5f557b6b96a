import { constants } from 'node:os'
import type { SandboxExit } from './sandbox.ts'

/** What V8 writes to standard error before it aborts at its heap limit. */
const V8_HEAP_LIMIT = /heap out of memory|Reached heap limit|Allocation failed - process out of memory/

// Reversed, because of two names for one number the usual one comes first: SIGABRT before SIGIOT.
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
)

const SIGNAL_NUMBERS = new Map<string | null, number>(Object.entries(constants.signals))

/** How a process ended, as its parent saw it. */
export interface RawExit {
  readonly exitCode: number | null
  readonly signal: string | null
}

/**
 * Reads a launcher's exit code the way shells write it: 128 + n stands for death by signal n.
 *
 * A program that itself exits with such a code cannot be told from one that was killed; the codes are reserved by
 * custom for exactly that.
 */
export function fromShellCode(exitCode: number): RawExit {
  const signal = exitCode > 128 ? SIGNAL_NAMES.get(exitCode - 128) : undefined
  return signal === undefined ? { exitCode, signal: null } : { exitCode: null, signal }
}

/** What a shell would say of it. */
export function toShellCode({ exitCode, signal }: RawExit): number {
  if (exitCode !== null) return exitCode
  return 128 + (SIGNAL_NUMBERS.get(signal) ?? 0)
}

/** @param stderrTail What the process wrote last, to tell the language's own memory limit from other aborts. */
export function exitOf(raw: RawExit, stderrTail: string): SandboxExit {
  if (raw.signal === null) return { kind: 'exited', exitCode: raw.exitCode ?? 0 }
  const aborted = raw.signal === 'SIGABRT' || raw.signal === 'SIGTRAP'
  if (aborted && V8_HEAP_LIMIT.test(stderrTail)) return { kind: 'outOfMemory' }
  return { kind: 'signalled', signal: raw.signal }
}
