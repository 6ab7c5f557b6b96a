// For tests: runs the command that it is given as JSON in a bwrap sandbox and prints how it went, as JSON.
import { fileURLToPath } from 'node:url'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'
import { run, Workbench } from '../harness.ts'

const command: string[] = JSON.parse(process.argv[2] ?? '[]')
const workbench = new Workbench()
const { sandbox, warning } = await chooseSandbox('bwrap')
const programs = { source: fileURLToPath(new URL('programs', import.meta.url)), target: '/programs' }
const spec = workbench.spec(command)
const ran = await run(sandbox, { ...spec, mounts: [...spec.mounts, programs] })
await sandbox.close()
workbench.close()
process.stdout.write(JSON.stringify({ ...ran, warning }))
