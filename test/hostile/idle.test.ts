import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CgroupTree } from '../../src/sandbox/cgroup/tree.ts'
import { figureOf, groupsOf } from '../sandbox/cgroup/groups-of.ts'
import { eventually } from '../sandbox/harness.ts'
import { describeHostile, LANGUAGES, sourceIn, type Attacker, type Bilingual } from './harness.ts'
import { PATIENCE_MS } from './traces.ts'

const tree = await CgroupTree.open()
await tree.close()
const { freezes, detail } = tree.finding

/**
 * A program for Linux on x86_64 of one chain: a process that has started another one ends, faster than anybody looks.
 *
 *     _start: mov $57, %eax     # fork
 *             syscall
 *             test %eax, %eax
 *             jle _start        # the new one, or there may be none now
 *             mov $60, %eax     # exit
 *             xor %edi, %edi
 *             syscall
 */
const CHAIN =
  'f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAEAAAAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAA' +
  'jAAAAAAAAACMAAAAAAAAAAAQAAAAAAAAuDkAAAAPBYXAfvW4PAAAADH/DwU='

/** Starts the chain at the first call; a later one tells whether further processes can be started. */
const LEAVES_CHAIN: Bilingual = {
  node: `
    if (event === 'again') return spawnSync('/bin/true').status
    fs.writeFileSync('/tmp/chain', Buffer.from('${CHAIN}', 'base64'), { mode: 0o700 })
    spawn('/tmp/chain', { stdio: 'ignore', detached: true }).unref()
    return 'left'`,
  python: `
import base64
if event == 'again': return subprocess.run(['/bin/true']).returncode
with open('/tmp/chain', 'wb') as file: file.write(base64.b64decode('${CHAIN}'))
os.chmod('/tmp/chain', 0o700)
subprocess.Popen(['/tmp/chain'], start_new_session=True)
return 'left'`,
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim()
  } catch {
    return ''
  }
}

/** Whether a link of the chain is there and stands still. */
function isChainFrozen({ traces }: Attacker): boolean {
  return traces.pids.some(
    (pid) => nameOf(pid) === 'chain' && figureOf(groupsOf(pid), 'cgroup.events', 'frozen') === 1,
  )
}

describeHostile('an idle function', (ground) => {
  test.for(LANGUAGES)(
    'in %s does not compute, whatever processes it has left that start each other, and is whole at its next call',
    async (language, context) => {
      context.skip(process.arch !== 'x64', 'the program is one for x86_64')
      context.skip(!freezes, `nothing can be frozen: ${detail}`)
      const source = sourceIn(language, LEAVES_CHAIN)
      const attacker = await ground().settle(source)
      const isGrouped = attacker.traces.pids.every((pid) => groupsOf(pid).length > 0)
      context.skip(!isGrouped, 'this user may not write the cgroups of the host')
      expect((await ground().call(attacker.name, 'start')).json).toBe('left')
      for (let turn = 0; turn < 3; turn += 1) {
        await eventually(() => isChainFrozen(attacker), PATIENCE_MS)
        expect((await ground().call(attacker.name, 'again')).json).toBe(0)
      }
      await ground().dismiss(attacker)
    },
  )
})
