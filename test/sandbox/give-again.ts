import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Two ticks of the kernel's clock, in which start times are told. */
const TWO_TICKS_MS = 20

export async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/**
 * Ends a child of this process and has its number given to another one, which sleeps. In a pid namespace where nobody else takes numbers.
 *
 * @param meanwhile Called when it has ended and nobody has its number.
 * @returns That one, and whether it has the number.
 */
export async function endAndGiveAgain(
  first: ChildProcess,
  meanwhile: () => void = () => undefined,
): Promise<{ child: ChildProcess; isAgain: boolean }> {
  const { pid = 0 } = first
  await end(first)
  meanwhile()
  await delay(TWO_TICKS_MS)
  writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1))
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  return { child, isAgain: child.pid === pid }
}
