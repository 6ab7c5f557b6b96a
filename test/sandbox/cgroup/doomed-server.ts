// A server for tests: freezes one process, writes its pid and the name of its groups, and waits to be killed.
import { writeSync } from 'node:fs'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'
import { eventually, firstLine, pidsWith, Workbench } from '../harness.ts'
import { figureOf, groupsOf } from './groups-of.ts'

const [mark = ''] = process.argv.slice(2)
const workbench = new Workbench()
const { sandbox } = await chooseSandbox('bwrap', { stateDir: workbench.dir })
const started = sandbox.start(workbench.shell(`sleep ${mark} & echo up >&3; while :; do :; done`))
started.stdout.resume()
started.stderr.resume()
await firstLine(started)
await eventually(() => pidsWith(mark).length === 1)
const [pid = 0] = pidsWith(mark)
started.freeze?.()
await eventually(() => figureOf(groupsOf(pid), 'cgroup.events', 'frozen') === 1)
writeSync(1, `${workbench.dir} ${/anvoke-[^/]+/.exec(groupsOf(pid)[0] ?? '')?.[0]}\n`)
setInterval(() => undefined, 1e6)
