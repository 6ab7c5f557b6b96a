import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cleanEnvironment } from './process.ts'
import { contentType } from './workloads.ts'

const run = promisify(execFile)
const script = fileURLToPath(new URL('load.lua', import.meta.url))

/** Where to send a workload and with which extra headers. */
export interface Target {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** What is sent, and what a right answer is. */
export interface Load {
  /** The body of every request, or `bodies`: one per line, sent in turn. */
  readonly bodyFile: string
  readonly bodies?: 'one per line'
  /** The only right answer, or a part of every right one. */
  readonly expectedFile?: string
  readonly expectedPart?: string
  /** The only right status. Default 200. */
  readonly expectedStatus?: number
}

/** How to load: closed loop, one request at a time per connection. */
export interface LoadOptions {
  readonly connections: number
  /** Whole seconds; wrk knows no fractions. */
  readonly durationSeconds: number
  /** Pins wrk to this CPU; default: the kernel chooses. */
  readonly cpu?: number
  readonly signal: AbortSignal
}

/** One run. A run with `errors` above zero measured something else than the workload: do not use its figures. */
export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Socket errors, time-outs, statuses and bodies other than the expected ones. */
  readonly errors: number
  /** The first thing that went wrong, for the reader. */
  readonly firstError: string | undefined
}

interface WrkSummary {
  readonly durationUs: number
  readonly requests: number
  readonly connectErrors: number
  readonly readErrors: number
  readonly writeErrors: number
  readonly timeouts: number
  readonly wrongBodies: number
  readonly firstWrong: string
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
}

/** Runs wrk once with one thread; every response is compared with what is right. Throws when wrk itself fails. */
export async function runLoad(target: Target, load: Load, options: LoadOptions): Promise<LoadResult> {
  const headers = { 'Content-Type': contentType, ...target.headers }
  const environment = cleanEnvironment({
    BENCH_HEADERS: Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n'),
    BENCH_EXPECT_STATUS: String(load.expectedStatus ?? 200),
    [load.bodies === undefined ? 'BENCH_BODY_FILE' : 'BENCH_BODIES_FILE']: load.bodyFile,
    ...(load.expectedFile === undefined
      ? { BENCH_EXPECT_PART: load.expectedPart ?? '' }
      : { BENCH_EXPECT_FILE: load.expectedFile }),
  })
  const pin = options.cpu === undefined ? [] : ['taskset', '-c', String(options.cpu)]
  const duration = `-d${options.durationSeconds}s`
  const wrk = [
    'wrk',
    '-t1',
    `-c${options.connections}`,
    duration,
    '--timeout',
    '10s',
    '-s',
    script,
    target.url,
  ]
  const [command = '', ...args] = [...pin, ...wrk]
  const timeout = (options.durationSeconds + 30) * 1000
  const { stdout } = await run(command, args, { env: environment, timeout, signal: options.signal })
  const summary: WrkSummary = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
  return summarise(summary)
}

function summarise(summary: WrkSummary): LoadResult {
  const socketErrors = summary.connectErrors + summary.readErrors + summary.writeErrors + summary.timeouts
  // A load that got no answer at all has failed too, whatever wrk counted.
  const errors = socketErrors + summary.wrongBodies + (summary.requests === 0 ? 1 : 0)
  const socketText =
    `${summary.connectErrors} connect, ${summary.readErrors} read, ${summary.writeErrors} write errors, ` +
    `${summary.timeouts} time-outs, ${summary.requests} answers`
  return {
    requests: summary.requests,
    requestsPerSecond: summary.requests / (summary.durationUs / 1e6),
    p50Ms: summary.p50Us / 1000,
    p99Ms: summary.p99Us / 1000,
    maxMs: summary.maxUs / 1000,
    errors,
    firstError: errors === 0 ? undefined : summary.firstWrong || socketText,
  }
}
