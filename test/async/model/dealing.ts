import type { KnownTask, Ledger } from './ledger.ts'

/**
 * Whose turn it is, in the simplest form: each place to the function that runs the fewest tasks, of those to the one whose task has
 * been due longest; first places to functions that run nothing.
 *
 * @returns `stopped`: tasks whose run is lost and whose stop is on disk; they end instead, and take no place.
 */
export function deal(
  ledger: Ledger,
  places: number,
  nowMs: number,
  { maxRuns, firstRuns }: { readonly maxRuns: number; readonly firstRuns: number },
): { readonly tasks: readonly KnownTask[]; readonly stopped: readonly KnownTask[] } {
  const order = new Map(ledger.tasks.map((task, index) => [task, index]))
  const left = ledger.live
    .filter(({ dueAtMs, functionName }) => dueAtMs <= nowMs && !ledger.of(functionName).isPaused)
    .toSorted((a, b) => a.dueAtMs - b.dueAtMs || (order.get(a) ?? 0) - (order.get(b) ?? 0))
  const running = new Map<string, number>()
  for (const { functionName, state } of ledger.live)
    if (state === 'leased') running.set(functionName, (running.get(functionName) ?? 0) + 1)
  const runsOf = ({ functionName }: KnownTask): number => running.get(functionName) ?? 0
  const tasks: KnownTask[] = []
  const stopped: KnownTask[] = []
  let free = { places, firstRuns }
  for (;;) {
    const mayRun = (task: KnownTask): boolean =>
      task.state === 'leased' || runsOf(task) < (ledger.of(task.functionName).maxRuns ?? maxRuns)
    const heads = left.filter(
      (task) => left.find((other) => other.functionName === task.functionName && mayRun(other)) === task,
    )
    const [next] = heads.toSorted((a, b) => runsOf(a) - runsOf(b))
    if (next === undefined) break
    if (free.places > 0 && next.isStopped) {
      left.splice(left.indexOf(next), 1)
      stopped.push(next)
      running.set(next.functionName, runsOf(next) - 1)
      continue
    }
    if (free.places > 0) free = { ...free, places: free.places - 1 }
    else if (free.firstRuns > 0 && runsOf(next) === 0) free = { ...free, firstRuns: free.firstRuns - 1 }
    else break
    left.splice(left.indexOf(next), 1)
    tasks.push(next)
    if (next.state !== 'leased') running.set(next.functionName, runsOf(next) + 1)
  }
  return { tasks, stopped }
}
