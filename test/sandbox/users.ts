import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const READ_FIRST = fileURLToPath(new URL('seccomp/inside.ts', import.meta.url))
const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--']

const whyNotNobody = whyNoOrdinaryUser()
if (whyNotNobody !== undefined)
  process.stderr.write(`Sandboxes of an ordinary user are not tested beside the others: ${whyNotNobody}.\n`)

/** Who starts sandboxes, and the command that makes a program theirs. */
export const USERS = [
  ['the user of the tests', []],
  ...(whyNotNobody === undefined ? ([['an ordinary user', AS_NOBODY]] as const) : []),
] as const

function whyNoOrdinaryUser(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can become another user'
  const [program, ...args] = [...AS_NOBODY, 'test', '-r', READ_FIRST, '-a', '-x', process.execPath]
  return spawnSync(program, args).status === 0 ? undefined : 'this checkout is closed to others'
}
