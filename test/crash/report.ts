import type { QueueAudit } from '../../src/store/task-queue.ts'
import type { Verdict } from './judge.ts'

/** What a campaign came to. */
export interface Report extends Verdict {
  readonly startedAt: string
  readonly elapsedS: number
  /** Given again, it makes the same decisions. */
  readonly seed: number
  readonly kills: Readonly<Record<'all' | 'server' | 'worker' | 'start-up' | 'stop', number>>
  readonly gracefulRestarts: number
  /** From the start of the process until it answers. */
  readonly starts: { readonly count: number; readonly medianMs: number; readonly longestMs: number }
  /** Handed over, or tried to. */
  readonly calls: number
  /** Submissions without an answer that were sent again, with ids of their own. */
  readonly askedAgain: number
  /** Ids of accepted calls that were tried again after a start. */
  readonly idsTried: number
  /** Looks at calls through the API while the load went on. */
  readonly looks: number
  /** Queues of dead servers that were examined. */
  readonly autopsies: number
  readonly audit: QueueAudit
  readonly violationCount: number
  /** The first of them, in words. */
  readonly violations: readonly string[]
}

/** The table of `docs/async.md`. */
export function markdownOf(report: Report): string {
  const { kills, starts, endings, audit } = report
  const rows: readonly (readonly [string, string | number])[] = [
    ['`kill -9` of the server under load', kills.server],
    ['… while it started', kills['start-up']],
    ['… while it stopped', kills.stop],
    ['`kill -9` of a process of a function', kills.worker],
    ['**all kills**', `**${kills.all}**`],
    ['stops and starts in between', report.gracefulRestarts],
    [
      'starts on the same directory, median and longest',
      `${starts.count}, ${starts.medianMs} ms, ${starts.longestMs} ms`,
    ],
    ['calls handed over', report.calls],
    ['accepted', report.accepted],
    ['without an answer, of which were there', `${report.unknown}, ${report.unknownThere}`],
    [
      'these and those ended as succeeded, failed, cancelled',
      ['succeeded', 'failed', 'cancelled'].map((name) => endings[name] ?? 0).join(', '),
    ],
    ['refused', report.refused],
    ['runs that functions told of', report.runs],
    ['… beyond the recorded attempts, all with the id of the call', report.duplicatesSeen],
    [
      'duplicates and lost runs that the server counted',
      `${report.duplicatesCounted}, ${report.lostRunsCounted}`,
    ],
    ['calls given up after more than 10 lost runs beyond their repeats', report.givenUp],
    ['stops that were answered', report.stopsAnswered],
    [
      'endings told to destinations, of which more than once, under the same id',
      `${report.endingsTold}, ${report.toldAgain}`,
    ],
    ['ids tried again after a start, all refused', report.idsTried],
    ['queues of killed servers examined', report.autopsies],
    [
      'imbalance, miscounted, stray events at the end',
      `${audit.imbalance}, ${audit.miscounted}, ${audit.strayPayloads}`,
    ],
    ['**violations** (lost, settled twice, run after a stop, left behind …)', `**${report.violationCount}**`],
  ]
  return ['| | |', '| --- | --- |', ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join('\n')
}

/** For people. */
export function summaryOf(report: Report): string {
  const { kills, violations, violationCount } = report
  const verdict =
    violationCount === 0 ? 'Nothing was lost, settled twice or left behind.' : `${violationCount} VIOLATIONS:`
  return [
    `${kills.all} kills in ${report.elapsedS} s (seed ${report.seed}): ${report.accepted} accepted calls, ${report.runs} runs.`,
    verdict,
    ...violations.map((text) => `- ${text}`),
  ].join('\n')
}
