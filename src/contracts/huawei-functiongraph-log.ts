import type { Ending, Measured } from '../model/outcome.ts'
import type { LoggedCall } from './contract.ts'
import { versionName } from './huawei-functiongraph-environment.ts'
import { platformFailure } from './huawei-functiongraph-failure.ts'

type Figures = Omit<Measured, 'logTail'>

/** Before the code's own lines. */
export function openingOf({ requestId, version }: LoggedCall): string {
  return `${now()} Start invoke request '${requestId}', version: ${versionName(version)}\n`
}

/**
 * After them: an empty line, or what follows a last line without a line feed; a line about an ending that the code could not
 * report itself; the figures. The newest releases of the vendor also name cpu and storage, which are not measured here.
 */
export function closingOf({ requestId }: LoggedCall, ending: Ending, measured: Figures): string {
  const failure = platformFailure(ending)
  const error = failure === undefined ? '' : `${now()} ${requestId} ERROR ${failure.errorMessage}\n`
  return (
    `\n${error}${now()} Finish invoke request '${requestId}', duration: ${measured.durationMs.toFixed(3)}ms, ` +
    `billing duration: ${measured.billedDurationMs}ms, memory used: ${megabytes(measured)}MB, ` +
    `billing memory: ${measured.version.memoryMib}MB\n`
  )
}

export function initOpeningOf({ requestId, version }: LoggedCall): string {
  return `${now()} Start initialize request '${requestId}', version: ${versionName(version)}\n`
}

/** The vendor goes on with duration and memory, which are not known here yet. */
export function initClosingOf({ requestId }: LoggedCall): string {
  return `${now()} Finish initialize request '${requestId}'\n`
}

/** `2022-09-20T11:43:57Z` */
function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`
}

function megabytes({ maxMemoryBytes }: Figures): string {
  return (maxMemoryBytes / (1024 * 1024)).toFixed(3)
}
