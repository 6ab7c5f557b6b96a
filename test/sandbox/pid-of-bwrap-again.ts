import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BwrapProcess } from '../../src/sandbox/bwrap/process.ts'
import { InheritedDescriptors } from '../../src/sandbox/inherited-descriptors.ts'
import { endAndGiveAgain } from './give-again.ts'

/** In bwrap's place: tells of the process that its command names as the first of the namespaces, then its own number, and goes on. */
const BWRAP = '#!/bin/sh\necho "{ \\"child-pid\\": $6 }" >&$4\necho $$ >&3\nexec sleep 1000\n'

// In a pid namespace of its own, where nobody else takes numbers: kills a sandbox whose first process has ended, and whose number is
// another's; says how that one ended.
const dir = mkdtempSync(join(tmpdir(), 'anvoke-again-'))
writeFileSync(join(dir, 'bwrap'), BWRAP, { mode: 0o755 })
const first = spawn('sleep', ['1000'], { stdio: 'ignore' })
const ticketsFd = openSync('/dev/null', 'r')
const sandboxed = new BwrapProcess({
  bwrap: join(dir, 'bwrap'),
  command: [String(first.pid)],
  argumentsText: Buffer.alloc(0),
  filter: undefined,
  ticketsFd,
  stateDir: dir,
  birthTimeoutMs: 1000,
  group: undefined,
  egress: undefined,
  inherited: new InheritedDescriptors(),
})
const [own] = await once(sandboxed.channel, 'data')
// Looks at its first process.
await sandboxed.memory()
const { child, isAgain } = await endAndGiveAgain(first)
const ended = once(child, 'exit')
sandboxed.kill()
// Whatever was sent before this would have ended it.
child.kill('SIGUSR1')
const [, signal] = await ended
process.kill(Number(own), 'SIGKILL')
await sandboxed.exited
closeSync(ticketsFd)
rmSync(dir, { recursive: true })
process.stdout.write(JSON.stringify({ isAgain, signal }))
