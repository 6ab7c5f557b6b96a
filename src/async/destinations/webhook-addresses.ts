import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'

/**
 * IPv4 that is not the public Internet: this host, its links and private networks, and what is for special use.
 * Source: IANA IPv4 Special-Purpose Address Registry. The clouds' metadata services at 169.254.0.0/16 and 100.100.100.200 are inside.
 */
const SPECIAL_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // A metadata service at a public address, by its cloud's documentation.
  '168.63.129.16/32',
]

/** All of IPv6 that is given out as public; the rest is loopback, links, private, multicast, or IPv4 in disguise. */
const GLOBAL_IPV6 = '2000::/3'

/** In there, what is not public, or leads to an IPv4 address that was not looked at. Source: IANA IPv6 Special-Purpose Address Registry. */
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

const specialIpv4 = blockListOf(SPECIAL_IPV4, 'ipv4')
const globalIpv6 = blockListOf([GLOBAL_IPV6], 'ipv6')
const specialIpv6 = blockListOf(SPECIAL_IPV6, 'ipv6')

/**
 * Whether an address belongs to the public Internet, and not to this host. Anything but an address does not.
 *
 * @param ownAddresses Those of this host. Default: those of its network interfaces now.
 */
export function isPublicAddress(address: string, ownAddresses = interfaceAddresses): boolean {
  if (isIPv4(address)) return !specialIpv4.check(address, 'ipv4') && !isAmong(ownAddresses(), address, 'ipv4')
  if (!isIPv6(address) || address.includes('%')) return false
  const isGlobal = globalIpv6.check(address, 'ipv6') && !specialIpv6.check(address, 'ipv6')
  return isGlobal && !isAmong(ownAddresses(), address, 'ipv6')
}

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all = []) => all.map((own) => own.address))
}

/** However each of them is written: IPv6 has many ways. */
function isAmong(addresses: readonly string[], address: string, family: 'ipv4' | 'ipv6'): boolean {
  const same = new BlockList()
  same.addAddress(address, family)
  const isOfFamily = family === 'ipv4' ? isIPv4 : isIPv6
  return addresses.some((own) => isOfFamily(own) && same.check(own, family))
}

function blockListOf(ranges: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = '', prefix] = range.split('/')
    list.addSubnet(network, Number(prefix), family)
  }
  return list
}
