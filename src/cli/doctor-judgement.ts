import type { Config } from '../config/schema.ts'
import type { Finding } from './server-findings.ts'

/** What the settings ask of the host. */
export type Wishes = Pick<Config, 'sandbox' | 'network'>

const ASKED = {
  none: 'functions reach nothing but themselves, as `--network none` asks',
  host: 'functions share the network of the host, as `--network host` asks',
} as const

/**
 * Judges what was found on the host by what the settings ask for: what a server with them refuses to start without is required, what
 * they do without is not. The finding `network` tells what functions would get.
 */
export function judged(findings: readonly Finding[], { sandbox, network }: Wishes): readonly Finding[] {
  const works = (name: string): boolean => findings.some((finding) => finding.name === name && finding.ok)
  const isPlain = sandbox === 'process' || (sandbox === 'auto' && !works('sandbox bwrap'))
  const told = findings.flatMap((finding) => {
    switch (finding.name) {
      case 'sandbox bwrap':
        return [{ ...finding, required: sandbox !== 'process' }]
      case 'sandbox process':
        return [{ ...finding, required: sandbox === 'process' }]
      case 'network':
        return isPlain ? [] : [ownNetwork(finding, network)]
      default:
        return [finding]
    }
  })
  return isPlain ? [...told, networkOfHost(network)] : told
}

function ownNetwork(finding: Finding, network: Config['network']): Finding {
  if (network === 'none' || network === 'host')
    return { name: finding.name, ok: true, required: false, detail: ASKED[network] }
  return { ...finding, required: network === 'egress' }
}

/** Without namespaces there is no other. */
function networkOfHost(network: Config['network']): Finding {
  const common = { name: 'network', required: true }
  if (network === 'auto' || network === 'host')
    return {
      ...common,
      ok: true,
      detail: 'functions share the network of the host: so it is without isolation',
    }
  return {
    ...common,
    ok: false,
    detail: `\`--network ${network}\` cannot be had without isolation: functions use the network of the host`,
    fix: 'run functions in the bwrap sandbox, or choose --network host',
  }
}
