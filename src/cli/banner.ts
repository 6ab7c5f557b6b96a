import { join } from 'node:path'
import { stderrColors } from './colors.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import type { Config } from '../config/schema.ts'
import type { RunningServer } from '../main.ts'
import { shellWord } from './shell-word.ts'
import { version } from './version.ts'

export interface BannerFacts {
  readonly mode: 'serve' | 'dev'
  readonly server: Pick<RunningServer, 'address' | 'sandbox' | 'network'>
  readonly config: Config
  /** Where data is kept and for how long, in words. */
  readonly data: string
  /** The key, and where its secret is. */
  readonly accessKey: string
}

const WHAT_A_MODE_IS = {
  serve: 'durable, closed to everyone without a key',
  dev: 'for this machine alone, with a well-known key; not for production',
}

/** What one needs to know to use the server that just became ready, as one aligned block. */
export function renderBanner({ mode, server, config, data, accessKey }: BannerFacts): string {
  const { address, sandbox, network } = server
  const colors = stderrColors()
  const endpoint = formatListenAddress(address)
  const rows: [string, string][] = [
    ['URL', colors.bold(`http://${endpoint}`)],
    ['Data', data],
    ['Logs', join(config.dataDir, 'logs', 'ACCOUNT', 'NAMESPACE', 'FUNCTION', 'current.jsonl')],
    ['Queues', `anvoke queue list --data ${shellWord(config.dataDir)}`],
    ['Account', config.accountId],
    ['Access key', accessKey],
    ['Sandbox', `${sandbox.name}: ${sandbox.detail}`],
    ['Network', `${network.policy}: ${network.detail}`],
    ...(sandbox.warning === undefined
      ? []
      : [['Warning', colors.yellow(sandbox.warning)] as [string, string]]),
    ['Any SDK', `endpoint ${endpoint}, protocol http, region ${config.region}, account and key as above`],
  ]
  const block = rows.map(([name, value]) => `  ${colors.dim(name.padEnd(11))}  ${value}`)
  const title = `${colors.bold(`anvoke ${version()}`)} ${mode}: ${WHAT_A_MODE_IS[mode]}`
  return `\n  ${title}\n\n${block.join('\n')}\n\n`
}
