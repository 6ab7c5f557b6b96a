// For tests: writes where descriptor 77 leads inside a sandbox.
import { chooseSandbox } from '../../src/sandbox/probe.ts'
import { run, Workbench } from './harness.ts'

const way = process.argv[2] === 'forked' ? 'forked' : 'started'
const workbench = new Workbench(way)
const { zygotes } = workbench
const { sandbox } = await chooseSandbox('bwrap', way === 'forked' ? { zygotes } : {})
const { stdout } = await run(sandbox, workbench.shell('readlink /proc/self/fd/77'))
process.stdout.write(stdout)
await sandbox.close()
workbench.close()
