// For tests: runs the command that it is given as JSON, behind `-c` Python of its own, in a bwrap sandbox, in the way that is named next, and prints how it went, as JSON.
import { fileURLToPath } from 'node:url'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'
import { run, Workbench } from '../harness.ts'

const command: string[] = JSON.parse(process.argv[2] ?? '[]')
const way = process.argv[3] === 'forked' ? 'forked' : 'started'
const workbench = new Workbench(way)
const { zygotes } = workbench
const { sandbox, warning } = await chooseSandbox('bwrap', way === 'forked' ? { zygotes } : {})
const programs = { source: fileURLToPath(new URL('programs', import.meta.url)), target: '/programs' }
const [first, source = ''] = command
const spec = first === '-c' ? workbench.python(source) : workbench.spec(command)
const ran = await run(sandbox, { ...spec, mounts: [...spec.mounts, programs] })
await sandbox.close()
workbench.close()
process.stdout.write(JSON.stringify({ ...ran, warning }))
