import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { KnownProcess } from '../../src/sandbox/known-process.ts'

/** Two ticks of the kernel's clock, in which start times are told. */
const TWO_TICKS_MS = 20

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

// In a pid namespace of its own, where nobody else takes numbers: has a number given twice, and says what is thought of it.
const first = spawn('sleep', ['1000'], { stdio: 'ignore' })
const pid = first.pid ?? 0
const known = new KnownProcess(pid)
const told = [known.isStill()]
await end(first)
told.push(known.isStill())
await delay(TWO_TICKS_MS)
writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1))
const second = spawn('sleep', ['1000'], { stdio: 'ignore' })
told.push(known.isStill())
process.stdout.write(JSON.stringify({ isAgain: second.pid === pid, told }))
await end(second)
