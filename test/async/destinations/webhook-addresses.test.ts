import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { isPublicAddress } from '../../../src/async/destinations/webhook-addresses.ts'

describe('an address for webhooks', () => {
  test.each(['1.1.1.1', '8.8.8.8', '100.63.255.255', '172.32.0.1', '2606:4700::1111', '2a00::1'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  test.each([
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.0.9'],
    ['loopback', '::1'],
    ['this host', '0.0.0.0'],
    ['this host', '::'],
    ['private', '10.1.2.3'],
    ['private', '172.16.0.1'],
    ['private', '172.31.255.255'],
    ['private', '192.168.1.1'],
    ['private', 'fd00::1'],
    ['shared, with metadata in it', '100.100.100.200'],
    ['link-local, with metadata in it', '169.254.169.254'],
    ['link-local', 'fe80::1'],
    ['link-local', 'fe80::1%eth0'],
    ['metadata', 'fd00:ec2::254'],
    ['metadata', '168.63.129.16'],
    ['multicast', '224.0.0.1'],
    ['multicast', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['benchmarks', '198.18.0.1'],
    ['IPv4 in IPv6', '::ffff:127.0.0.1'],
    ['IPv4 in IPv6', '::ffff:8.8.8.8'],
    ['IPv4 behind a translator', '64:ff9b::7f00:1'],
    ['IPv4 in 6to4', '2002:7f00:1::'],
    ['Teredo', '2001::1'],
    ['no address', 'localhost'],
    ['no address', ''],
    ['no address', '0x7f.1'],
  ])('is refused when it is %s: %s', (_kind, address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  test('is refused when it is one of this host, however it is written', () => {
    const own = (): string[] => ['fe80::1%eth0', '1.1.1.1', '2606:4700:0:0::1111']
    expect(['1.1.1.1', '2606:4700::1111'].filter((address) => isPublicAddress(address, own))).toEqual([])
    expect(['1.1.1.2', '2606:4700::1112'].every((address) => isPublicAddress(address, own))).toBe(true)
    const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    expect(interfaces.filter(({ address }) => isPublicAddress(address))).toEqual([])
  })
})
