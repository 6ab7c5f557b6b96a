/** The one network that every instance with egress sees; slirp4netns calls it its default. Nobody outside sees these addresses. */
export const SUBNET = '10.0.2.0/24'

/** Where an instance asks for names; slirp4netns hands the questions to the host's own name server. */
export const NAME_SERVER = '10.0.2.3'

/** What no instance may reach, besides the host's own addresses. */
const BARRED = [
  // "This host on this network": Linux takes it for the loopback.
  '0.0.0.0/8',
  // The loopback; a socket that is bound to the tap device would have it carried outside.
  '127.0.0.0/8',
  // Its neighbours there, the gateway among them, are the helper itself.
  SUBNET,
  // Link-local: where clouds give credentials to whoever asks from the machine.
  '169.254.0.0/16',
  // Where clouds do the same at addresses of their own, by their documentation.
  '100.100.100.200/32',
  '168.63.129.16/32',
  // Multicast and broadcast: services of the host and its neighbours that listen to everybody.
  '224.0.0.0/4',
  '240.0.0.0/4',
]

/**
 * Rules for `ip -batch` in the network namespace of an instance: IPsec policies that block.
 *
 * Not routes: a socket that is bound to the device (any process may) is sent there although a route forbids it, and
 * multicast then gets out. The kernel asks the policies after it has chosen the way, whichever that is.
 *
 * @param own What {@link import('./own-addresses.ts').ownAddresses} found.
 */
export function barrierRules(own: readonly string[]): string {
  const blocked = [...new Set([...BARRED, ...own])]
  const rules = [
    ...[`${NAME_SERVER}/32`, '::1/128'].map((range) => rule(`out dst ${range}`, 'allow', 1)),
    // There is no IPv6 outside; the kernel's own questions about it go nowhere either.
    ...[...blocked, '::/0'].map((range) => rule(`out dst ${range}`, 'block', 2)),
  ]
  return batch(rules)
}

/**
 * Rules for ranges that have become the host's own since {@link barrierRules}, of which none is among those: nothing is sent there from
 * now on, and what was open there hears no more.
 */
export function laterRules(own: readonly string[]): string {
  return batch(
    own.flatMap((range) => [`out dst ${range}`, `in src ${range}`].map((way) => rule(way, 'block', 2))),
  )
}

/** Whether {@link barrierRules} bars a range by itself. */
export function isAlwaysBarred(range: string): boolean {
  return BARRED.includes(range)
}

/** @param priority The lowest that matches decides. */
function rule(way: string, action: 'allow' | 'block', priority: number): string {
  return `xfrm policy add dir ${way} action ${action} priority ${priority}`
}

function batch(rules: readonly string[]): string {
  return rules.map((line) => `${line}\n`).join('')
}
