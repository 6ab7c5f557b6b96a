// A server for tests: starts one process of the driver named by its argument, writes its first line and waits to be killed.
import { firstLine, Workbench } from '../../sandbox/harness.ts'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'

const [driver, script] = process.argv.slice(2)
const workbench = new Workbench()
const { sandbox } = await chooseSandbox(driver === 'process' ? 'process' : 'bwrap', {
  stateDir: workbench.dir,
})
const started = sandbox.start(workbench.shell(script ?? 'exit 1'))
started.stdout.resume()
started.stderr.resume()
process.stdout.write(`${workbench.dir} ${await firstLine(started)}\n`)
