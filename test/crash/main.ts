// A server under load is killed at random moments, again and again: `node test/crash/main.ts`. Prints JSON, and says on stderr what it
// came to; exit code 1 on a violation. See README.md.
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { markdownOf, summaryOf } from './report.ts'

const USAGE =
  'Usage: npm run test:crash -- [--kills 1…100000] [--minutes 1…1440] [--seed 0…4294967295] [--short] [--markdown]'

const options = readOptions()
const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => interruption.abort(new Error(`interrupted by ${name}`)))
say(`seed ${options.seed}`)
try {
  const report = await runCampaign({ ...options, progress: say, signal: interruption.signal })
  process.stdout.write(options.markdown ? `${markdownOf(report)}\n` : `${JSON.stringify(report, null, 2)}\n`)
  say(summaryOf(report))
  process.exitCode = report.violationCount > 0 ? 1 : 0
} catch (error) {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error))
  process.exitCode = 1
}

function say(text: string): void {
  process.stderr.write(`crash: ${text}\n`)
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        kills: { type: 'string', default: '500' },
        minutes: { type: 'string', default: '60' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
        short: { type: 'boolean', default: false },
        markdown: { type: 'boolean', default: false },
      },
    })
    return {
      kills: whole('kills', values.kills, 1, 100_000),
      forMs: whole('minutes', values.minutes, 1, 1440) * 60_000,
      seed: whole('seed', values.seed, 0, 2 ** 32 - 1),
      isShort: values.short,
      markdown: values.markdown,
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`)
    return process.exit(2)
  }
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`--${name} is "${text}", not a whole number from ${least} to ${most}`)
  return value
}
