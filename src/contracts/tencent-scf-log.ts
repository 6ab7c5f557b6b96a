import type { Ending, Measured } from '../model/outcome.ts'
import { utf8Cut } from '../model/utf8.ts'
import type { LoggedCall } from './contract.ts'
import { failureOf } from './tencent-scf-failure.ts'

type Figures = Omit<Measured, 'logTail'>

/** What is shown of a failure body. Source: the vendor's log pages, "8 KB" for one message. */
const MAX_MESSAGE_BYTES = 8 * 1024

/*
 * The vendor's lines exist in two forms. These are the ones of its console and of `LogType=Tail`: a blank behind `RequestId:` (not on the ERROR line),
 * an Event line, and the result not in the log. The other, of its log service, has no blank and a line `Response RequestId:<id> RetMsg:<json>`; its queries
 * show the result as a field of its own, which is kept beside the log here.
 */

/** Before the code's own lines. */
export function openingOf({ requestId }: LoggedCall): string {
  return `START RequestId: ${requestId}\nEvent RequestId: ${requestId}\n`
}

/** After them: how the instance started if the call waited for that, the failure if there is one, the end and the figures. */
export function closingOf({ requestId }: LoggedCall, ending: Ending, measured: Figures): string {
  const failure = failureOf({ ...ending, version: measured.version }, requestId)
  const lines = [
    ...(measured.coldStart && ending.kind !== 'initFailed' ? [initReport(requestId, measured)] : []),
    ...(failure === undefined ? [] : [`ERROR RequestId:${requestId} Result:${clipped(failure.body)}`]),
    `END RequestId: ${requestId}`,
    `Report RequestId: ${requestId} Duration:${measured.billedDurationMs}ms ` +
      `Memory:${measured.version.memoryMib}MB MemUsage:${megabytes(measured, 6)}MB`,
  ]
  return `${lines.join('\n')}\n`
}

/**
 * The cold start as a whole counts as that of the function: its code lies ready on the disk, and the runtime's share is not
 * measured. The vendor writes this line before the code's own; there its figures are not known yet here.
 */
function initReport(requestId: string, measured: Figures): string {
  const startMs = Math.round(measured.initDurationMs)
  return (
    `Init Report RequestId: ${requestId} Coldstart: ${startMs}ms ` +
    `(PullCode: 0ms InitRuntime: 0ms InitFunction: ${startMs}ms) ` +
    `Memory: ${measured.version.memoryMib}MB MemUsage: ${megabytes(measured, 2)}MB`
  )
}

/** At most {@link MAX_MESSAGE_BYTES} bytes of UTF-8, whole characters. */
function clipped(text: string): string {
  const bytes = Buffer.from(text)
  return bytes.toString('utf8', 0, utf8Cut(bytes, MAX_MESSAGE_BYTES))
}

function megabytes({ maxMemoryBytes }: Figures, digits: number): string {
  return (maxMemoryBytes / (1024 * 1024)).toFixed(digits)
}
