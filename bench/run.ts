import { parseArgs } from 'node:util'
import { measure, serverNames } from './measure.ts'
import { defaultPlan, quickPlan } from './plan.ts'
import { OPTIONS, Program, progress, publish } from './program.ts'
import { formatResults } from './report.ts'

const usage = `Usage: npm run bench -- [--quick] [--json] [--strict] [--servers ${serverNames.join(',')}]`
const resultsFile = new URL('results/latest.json', import.meta.url)

const options = readOptions()
const program = new Program('anvoke-bench-')
await program.run(async () => {
  const results = await measure({
    plan: options.quick ? quickPlan : defaultPlan,
    servers: options.servers,
    directory: program.directory,
    signal: program.signal,
    progress,
  })
  return publish(results, resultsFile, formatResults, options)
})

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        ...OPTIONS,
        servers: { type: 'string', default: serverNames.join(',') },
      },
    })
    const servers = values.servers.split(',')
    const unknown = servers.find((name) => !serverNames.some((known) => known === name))
    if (unknown !== undefined) throw new Error(`unknown server "${unknown}"`)
    return { ...values, servers }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
