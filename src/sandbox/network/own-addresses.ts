import { readFile } from 'node:fs/promises'

/** The routes of this host, as the kernel lists them. */
const ROUTES_FILE = '/proc/net/fib_trie'

/** More ranges than any host has; each becomes a rule in the namespace of every instance. */
export const MOST_RANGES = 4096

/**
 * Every IPv4 range that this host itself answers to, such as `192.0.2.7/32`, and those it hears broadcasts on.
 *
 * From the routes and not from the list of interfaces: an address answers although its interface has no carrier, as that of a
 * bridge without containers, and a range can be local without being any interface's.
 *
 * @throws When the kernel does not tell, or tells more than {@link MOST_RANGES}.
 */
export async function ownAddresses(): Promise<readonly string[]> {
  const ranges = parseOwnAddresses(await readFile(ROUTES_FILE, 'latin1'))
  if (ranges.length > MOST_RANGES) throw new Error(`this host has ${ranges.length} addresses of its own`)
  return ranges
}

/** @param routes Content of `/proc/net/fib_trie`: an address on a line, its routes on the next ones. */
export function parseOwnAddresses(routes: string): string[] {
  const ranges = new Set<string>()
  let address = ''
  for (const line of routes.split('\n')) {
    address = /^\s*\|-- (\d+\.\d+\.\d+\.\d+)$/.exec(line)?.[1] ?? address
    const length = /^\s*\/(\d+) \w+ (?:LOCAL|BROADCAST)\b/.exec(line)?.[1]
    if (length !== undefined && address !== '') ranges.add(`${address}/${length}`)
  }
  return [...ranges]
}
