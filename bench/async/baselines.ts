import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cleanEnvironment } from '../process.ts'

const run = promisify(execFile)
const program = fileURLToPath(new URL('durable-loop.ts', import.meta.url))

/** About what the queue keeps of one accepted call of "hello": its row and its event, without indexes. */
export const RECORD_BYTES = 256

/** One writer that makes records durable. */
export interface Baseline {
  readonly name: string
  readonly kind: 'append' | 'insert'
  readonly recordsPerSync: number
}

/** What accepting is compared with. The last is for information: what sharing a sync is worth to a single writer. */
export const baselines: readonly [Baseline, ...Baseline[]] = [
  { name: 'append + fdatasync', kind: 'append', recordsPerSync: 1 },
  { name: 'SQLite insert', kind: 'insert', recordsPerSync: 1 },
  { name: 'append, 64 records a sync', kind: 'append', recordsPerSync: 64 },
]

/** Runs one for so many seconds below the given directory; records made durable per second. */
export async function measureBaseline(
  { kind, recordsPerSync }: Baseline,
  directory: string,
  seconds: number,
  signal: AbortSignal,
): Promise<number> {
  const args = [program, kind, directory, String(RECORD_BYTES), String(seconds), String(recordsPerSync)]
  const { stdout } = await run(process.execPath, args, { env: cleanEnvironment(), signal })
  const result: { readonly records: number; readonly seconds: number } = JSON.parse(stdout)
  return result.records / result.seconds
}
