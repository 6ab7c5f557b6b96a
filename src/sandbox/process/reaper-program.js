// Ends what a server leaves behind when it is killed. Plain JavaScript, because it runs as a program of its own.
//
// Standard input is a pipe that only the server holds. Each line is JSON: `{"add": pid, "dir": path}` names a process group
// and its temporary directory, `{"remove": pid}` takes it off again. The end of the pipe means the server is gone.
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const groups = new Map()

const lines = createInterface({ input: process.stdin })

lines.on('line', (line) => {
  const order = JSON.parse(line)
  if (order.add === undefined) groups.delete(order.remove)
  else groups.set(order.add, order.dir)
})

lines.on('close', () => {
  for (const group of groups.keys()) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {
      // Nothing of it runs any more.
    }
  }
  for (const dir of groups.values()) rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  process.exit(0)
})
