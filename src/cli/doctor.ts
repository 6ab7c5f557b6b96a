import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { EXIT } from './complaint.ts'
import { judged } from './doctor-judgement.ts'
import {
  dataDirFindings,
  databaseFindings,
  descriptorFinding,
  nodeFinding,
  placeFindings,
  type Finding,
} from './server-findings.ts'
import type { SettingFlags } from './setting-flags.ts'
import { version } from './version.ts'

/**
 * `anvoke doctor`: tries everything that functions run on, with the settings of `anvoke serve`, and prints what was found.
 * The process's exit code becomes 1 when something that is required is missing: what functions need to run isolated, where the settings do
 * not choose to go without, and what a server with these settings does not start without.
 *
 * @throws {ConfigError} settings that cannot be used.
 */
export async function doctor({ flags, configFile }: SettingFlags, json: boolean): Promise<void> {
  const { config } = await loadConfig({
    flags,
    file: configFile,
    environment: process.env,
    cwd: process.cwd(),
  })
  const { checkPlaces, examineDatabase, examineHostFor } = await import('../main.ts')
  const findings = [
    nodeFinding(),
    ...judged(await examineHostFor(config), config),
    descriptorFinding(config),
    ...placeFindings(() => checkPlaces(config)),
    ...dataDirFindings(config.dataDir),
    ...databaseFindings(config.dataDir, examineDatabase),
  ]
  process.exitCode = isHealthy(findings) ? EXIT.ok : EXIT.failed
  process.stdout.write(json ? `${renderJson(findings)}\n` : renderText(findings, config.sandbox))
}

/** Whether nothing is missing that is required: advice does not count. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ ok, required }) => ok || !required)
}

/** What decides about isolation; whatever else is required, a server with these settings does not start without. */
const OF_ISOLATION = /^(?:sandbox bwrap|temporary directory)$/

/** One JSON document: `ok` as the exit code has it, and the findings as they are. */
export function renderJson(findings: readonly Finding[]): string {
  return JSON.stringify({ ok: isHealthy(findings), version: version(), findings }, null, 2)
}

/** One line for each finding, below it the remedy, and a sentence about them all. */
export function renderText(findings: readonly Finding[], sandbox: Config['sandbox'] = 'auto'): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const indent = ' '.repeat(width + 13)
  const lines = findings.flatMap(({ name, ok, required, detail, fix }) => {
    const mark = ok ? 'ok' : required ? 'MISSING' : 'advice'
    const line = `  ${mark.padEnd(7)}  ${name.padEnd(width)}  ${detail}`
    return fix === undefined ? [line] : [line, `${indent}fix: ${fix}`]
  })
  return `${lines.join('\n')}\n\n${summaryOf(findings, sandbox)}\n`
}

function summaryOf(findings: readonly Finding[], sandbox: Config['sandbox']): string {
  const missing = findings.filter(({ ok, required }) => !ok && required).map(({ name }) => name)
  const barring = missing.filter((name) => sandbox !== 'auto' || !OF_ISOLATION.test(name))
  const stops = `A server with these settings does not start: ${barring.join(', ')}.`
  const isolating = sandbox === 'process' ? [] : missing.filter((name) => OF_ISOLATION.test(name))
  if (isolating.length > 0)
    return `Functions cannot run isolated here: ${isolating.join(', ')}.${barring.length > 0 ? ` ${stops}` : ''}`
  const plain = 'Functions run WITHOUT isolation, as --sandbox process asks'
  const isolated = sandbox === 'process' ? plain : 'Functions can run isolated here'
  if (barring.length > 0 && sandbox === 'process') return stops
  if (barring.length > 0) return `${isolated}, but ${stops.replace('A', 'a')}`
  const advised = findings.filter(({ ok }) => !ok).length
  const count = advised === 1 ? 'one thing' : `${advised} things`
  return `${isolated}${advised === 0 ? '' : `; ${count} could be better`}.`
}
