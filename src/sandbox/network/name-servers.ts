import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { NAME_SERVER } from './barriers.ts'

/** Where this host names its name servers. */
const HOST_FILE = '/etc/resolv.conf'

/** More are not asked. Source: resolv.conf(5), MAXNS. */
const MOST_SERVERS = 3

/** @returns The content of `/etc/resolv.conf` for a process with a way out of this host, as it is now. */
export function nameServersText(): string {
  try {
    return nameServersBehind(readFileSync(HOST_FILE, 'latin1'))
  } catch {
    // The carrier looks again for each question.
    return nameServersBehind('')
  }
}

/**
 * The first server of the host, wherever it is, is asked through the carrier, which follows the host's file; it asks no other one when that
 * is dead. So the others are named as well. Those on the host itself cannot be reached otherwise than by the carrier.
 *
 * @param hostText Content of the host's own file.
 */
export function nameServersBehind(hostText: string): string {
  const named = [...hostText.matchAll(/^nameserver[ \t]+(\S+)/gm)].map(([, address = '']) => address)
  const [, ...others] = named.filter(isIPv4)
  const outside = others.filter((address) => !address.startsWith('127.') && address !== '0.0.0.0')
  const servers = [...new Set([NAME_SERVER, ...outside])].slice(0, MOST_SERVERS)
  return servers.map((address) => `nameserver ${address}\n`).join('')
}
