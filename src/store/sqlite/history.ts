import { HISTORY_RUNS, LAST_ERROR_CHARACTERS, type TaskRun } from '../task-queue.ts'

/** The history with one more run: refusals in a row are one entry, and the first and the latest entries are kept. */
export function withRun(text: string | null, run: TaskRun): string {
  const runs = [...parseHistory(text)]
  const last = runs.at(-1)
  if (last?.how === 'refused' && run.how === 'refused')
    runs[runs.length - 1] = {
      ...run,
      startedAtMs: last.startedAtMs,
      count: (last.count ?? 1) + 1,
    }
  else runs.push(run)
  if (runs.length > HISTORY_RUNS) runs.splice(1, runs.length - HISTORY_RUNS)
  return JSON.stringify(runs)
}

export function parseHistory(text: string | null): readonly TaskRun[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `withRun`
  return text === null ? [] : (JSON.parse(text) as TaskRun[])
}

/** The reason of a failure as it is kept. */
export function shorten(reason: string | undefined): string | null {
  return reason === undefined ? null : reason.slice(0, LAST_ERROR_CHARACTERS)
}
