import type { FunctionVersion } from '../model/function.ts'
import type { Ending, Measured } from '../model/outcome.ts'

/** What the texts tell of a call. */
type Figures = Pick<Measured, 'durationMs' | 'billedDurationMs' | 'maxMemoryBytes'> & {
  readonly version: Pick<FunctionVersion, 'timeoutMs'>
}

/**
 * The platform's sentence about an ending that the code could not report itself: the `errorMessage` of the answer and
 * the text after `Error:` in the log. Undefined where the code did report (or returned).
 *
 * - timed out: `Function timed out after 3 seconds (maxMemoryUsage: 112.24MB)`
 * - exited or signalled: `Process exited unexpectedly before completing request (duration: 12ms, maxMemoryUsage: 0MB)`
 * - out of memory: `Function process was killed because it ran out of memory (duration: 12ms, maxMemoryUsage: 128.00MB)`
 * - cancelled or terminated: `Invocation canceled by client (duration: 4912ms, maxMemoryUsage: 0.00MB)`
 *
 * The first two and the last are the vendor's published texts. For running out of memory none was found (vendor
 * documents read 2026-11; only the metric name `FunctionOOMError` is published): that wording is ours, with the same
 * figures, so that a user sees the reason. A load or an initializer that timed out or crashed has the same sentences.
 */
export function failureSentence(ending: Ending, measured: Figures): string | undefined {
  if (ending.kind === 'returned' || ending.kind === 'threw') return undefined
  if (ending.kind === 'initFailed' && ending.reason === 'threw') return undefined
  return sentenceOf(ending, measured)
}

function sentenceOf(ending: Exclude<Ending, { kind: 'returned' | 'threw' }>, measured: Figures): string {
  let sentence: string
  switch (ending.kind) {
    case 'timedOut':
      sentence = timedOut(ending.afterMs, measured)
      break
    case 'crashed':
      sentence = ending.cause === 'outOfMemory' ? outOfMemory(measured) : exited(measured)
      break
    case 'initFailed':
      sentence =
        ending.reason === 'crashed'
          ? exited(measured)
          : timedOut(ending.afterMs ?? measured.version.timeoutMs, measured)
      break
    case 'cancelled':
    case 'terminated':
      sentence = `Invocation canceled by client (duration: ${wholeMs(measured)}ms, maxMemoryUsage: ${megabytes(measured)}MB)`
      break
  }
  return sentence
}

/** What follows the request id on the `FC Invoke End` line; empty for a call that returned. */
export function endSuffix(ending: Ending, measured: Figures): string {
  if (ending.kind === 'returned') return ''
  if (ending.kind === 'threw' && ending.handled) return ', Error: Handled function error'
  return `, Error: ${failureSentence(ending, measured) ?? 'Unhandled function error'}`
}

/** `Duration: 1.16 ms, Billed Duration: 2 ms, Memory Size: 128 MB, Max Memory Used: 25.90 MB`. */
export function summaryLine(version: FunctionVersion, measured: Figures): string {
  return (
    `Duration: ${measured.durationMs.toFixed(2)} ms, Billed Duration: ${measured.billedDurationMs} ms, ` +
    `Memory Size: ${version.memoryMib} MB, Max Memory Used: ${megabytes(measured)} MB`
  )
}

function timedOut(afterMs: number, measured: Figures): string {
  return `Function timed out after ${afterMs / 1000} seconds (maxMemoryUsage: ${megabytes(measured)}MB)`
}

function exited(measured: Figures): string {
  const used = measured.maxMemoryBytes === 0 ? '0' : megabytes(measured)
  return `Process exited unexpectedly before completing request (duration: ${wholeMs(measured)}ms, maxMemoryUsage: ${used}MB)`
}

function outOfMemory(measured: Figures): string {
  return (
    'Function process was killed because it ran out of memory ' +
    `(duration: ${wholeMs(measured)}ms, maxMemoryUsage: ${megabytes(measured)}MB)`
  )
}

function wholeMs({ durationMs }: Figures): number {
  return Math.round(durationMs)
}

function megabytes({ maxMemoryBytes }: Figures): string {
  return (maxMemoryBytes / (1024 * 1024)).toFixed(2)
}
