import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { barrierRules } from '../../../src/sandbox/network/barriers.ts'
import { ownAddresses, parseOwnAddresses } from '../../../src/sandbox/network/own-addresses.ts'

const ROUTES = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
           /32 link BROADCAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 198.51.100.0
           /25 host LOCAL tos 16
Local:
     |-- 192.0.2.7
        /32 host LOCAL
`

test('the addresses of a host are those of its local routes, each once', () => {
  expect(parseOwnAddresses(ROUTES)).toEqual([
    '127.0.0.0/8',
    '127.0.0.1/32',
    '192.0.2.0/32',
    '192.0.2.7/32',
    '198.51.100.0/25',
  ])
})

test('every address of this host is among them', async () => {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const listed = interfaces.filter(({ family }) => family === 'IPv4').map(({ address }) => `${address}/32`)
  expect(await ownAddresses()).toEqual(expect.arrayContaining(listed))
})

test('no range is barred twice, which would be refused, and the name server is open although its network is not', () => {
  const rules = barrierRules(['127.0.0.0/8', '192.0.2.7/32', '10.0.2.3/32']).trim().split('\n')
  expect(new Set(rules).size).toBe(rules.length)
  expect(rules.filter((rule) => rule.includes('127.0.0.0/8'))).toHaveLength(1)
  expect(rules).toEqual(
    expect.arrayContaining([
      'xfrm policy add dir out dst 10.0.2.3/32 action allow priority 1',
      'xfrm policy add dir out dst 10.0.2.3/32 action block priority 2',
      'xfrm policy add dir out dst 192.0.2.7/32 action block priority 2',
    ]),
  )
})
