// A server for tests: starts one process of the driver and in the way named by its arguments, writes its first line and waits to be killed.
import { firstLine, start, Workbench } from '../../sandbox/harness.ts'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'

const [driver, way, script] = process.argv.slice(2)
const workbench = new Workbench(way === 'forked' ? way : 'started')
const { zygotes } = workbench
const { sandbox } = await chooseSandbox(driver === 'process' ? 'process' : 'bwrap', {
  stateDir: workbench.dir,
  // By their names, another server would find what is left and end it.
  cgroups: false,
  ...(way === 'forked' && { zygotes }),
})
const started = await start(sandbox, workbench.shell(script ?? 'exit 1'))
started.stdout.resume()
started.stderr.resume()
process.stdout.write(`${workbench.dir} ${await firstLine(started)}\n`)
