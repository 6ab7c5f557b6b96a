import { setPriority } from 'node:os'

/** The lowest: nothing waits for it. */
const LOWEST = 19

/** Lets everything else on this host go before a process of the server's own. */
export function lowerPriority(pid: number): void {
  try {
    setPriority(pid, LOWEST)
  } catch {
    // It has ended already.
  }
}
