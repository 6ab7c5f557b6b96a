import { existsSync, statSync } from 'node:fs'
import { StoreRefused } from './store-refused.ts'

/**
 * Refuses what SQLite takes for a new database though it is none: nothing in it would be missed, and its log would be thrown away.
 * A start that was killed while it made the database leaves neither a log nor a trace beside an empty file. Opens nothing.
 *
 * @param traces Paths that are there only once a server has used the database.
 * @throws {StoreRefused} the file is empty, though one of them is there; or it is empty or missing, and its log holds something.
 */
export function refuseEmptied(file: string, traces: readonly string[]): void {
  const size = sizeOf(file)
  if (size !== undefined && size > 0) return
  const log = `${file}-wal`
  const trace = traces.find((path) => existsSync(path))
  if ((sizeOf(log) ?? 0) > 0)
    throw new StoreRefused(
      file,
      `is ${size === undefined ? 'missing' : 'empty'}, though its log ${log} is not`,
      {
        fix: `restore both of one backup, or the whole data directory; or move ${log} away to begin anew, ${WITHOUT}`,
      },
    )
  if (size === undefined || trace === undefined) return
  throw new StoreRefused(file, `is empty, though a server has kept data here (${trace})`, {
    fix: `restore the data directory from a backup; or remove the empty file to begin anew, ${WITHOUT}`,
  })
}

/** What a server that begins anew is without. */
const WITHOUT = 'without the functions, settings and asynchronous calls that it held'

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size
}
