import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createSecretKey } from 'node:crypto'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  WEBHOOK_TIMEOUT_MS,
  WebhookClient,
  type WebhookOptions,
} from '../../../src/async/destinations/webhook.ts'
import { isPublicAddress } from '../../../src/async/destinations/webhook-addresses.ts'
import { resolveName, type Address } from '../../../src/async/destinations/webhook-names.ts'
import type { Verdict } from '../../../src/async/destinations/delivery-policy.ts'
import { newDelivery } from '../../contracts/store/task.ts'
import { FakeClock } from '../fake-clock.ts'
import { Receiver, status } from './harness.ts'
import { NameServer, type Say } from './name-server.ts'

const KEY = createSecretKey(Buffer.alloc(32, 1))

let folder: string
let hostsFile: string
let stopping: AbortController
const servers: NameServer[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'names-'))
  hostsFile = join(folder, 'hosts')
  stopping = new AbortController()
})

afterEach(async () => {
  stopping.abort()
  await Promise.all(servers.splice(0).map((server) => server.close()))
  await rm(folder, { recursive: true })
})

async function nameServer(say: Say): Promise<NameServer> {
  const server = await NameServer.open(say)
  servers.push(server)
  return server
}

const resolveBy =
  (server: NameServer) =>
  (hostname: string, signal: AbortSignal): Promise<readonly Address[]> =>
    resolveName(hostname, signal, { servers: [server.address], hostsFile })

describe('a name', () => {
  test('has the addresses that the name servers have, IPv4 first', async () => {
    const server = await nameServer(({ family }) =>
      family === 4 ? ['192.0.2.1', '192.0.2.2'] : ['2001:db8::1'],
    )
    expect(await resolveBy(server)('Hooks.Example', stopping.signal)).toEqual([
      { address: '192.0.2.1', family: 4 },
      { address: '192.0.2.2', family: 4 },
      { address: '2001:db8::1', family: 6 },
    ])
  })

  test('has those of one family where there are none of the other', async () => {
    const server = await nameServer(({ family }) => (family === 4 ? [] : ['2001:db8::1']))
    expect(await resolveBy(server)('hooks.example', stopping.signal)).toEqual([
      { address: '2001:db8::1', family: 6 },
    ])
  })

  test('that nobody knows is an error that says so', async () => {
    const server = await nameServer(() => 'none')
    await expect(resolveBy(server)('hooks.example', stopping.signal)).rejects.toMatchObject({
      code: 'ENOTFOUND',
    })
  })

  test('without any address is an error that says so', async () => {
    const server = await nameServer(() => [])
    await expect(resolveBy(server)('hooks.example', stopping.signal)).rejects.toMatchObject({
      code: 'ENODATA',
    })
  })

  test('with very many addresses is looked at so far and no further', async () => {
    const many = Array.from({ length: 40 }, (_, index) => `192.0.2.${index}`)
    const server = await nameServer(({ family }) => (family === 4 ? many : []))
    expect((await resolveBy(server)('hooks.example', stopping.signal)).map(({ address }) => address)).toEqual(
      many.slice(0, 32),
    )
  })

  test('in the hosts file has the addresses there, and no server is asked', async () => {
    const server = await nameServer(() => ['192.0.2.1'])
    await writeFile(
      hostsFile,
      '# 192.0.2.9 hooks.example\n2001:db8::7 other.example hooks.example # 6\nnonsense hooks.example\n192.0.2.7\tHooks.Example\n',
    )
    for (const name of ['hooks.example', 'hooks.example.', 'HOOKS.example'])
      expect(await resolveBy(server)(name, stopping.signal)).toEqual([
        { address: '192.0.2.7', family: 4 },
        { address: '2001:db8::7', family: 6 },
      ])
    expect(server.asked).toEqual([])
    expect(await resolveBy(server)('not-hooks.example', stopping.signal)).toEqual([
      { address: '192.0.2.1', family: 4 },
    ])
  })

  test('beyond the bound of the hosts file, or cut by it, is not in it', async () => {
    const server = await nameServer(({ family }) => (family === 4 ? ['192.0.2.1'] : []))
    const filling = `#${'x'.repeat(256 * 1024 - 24)}\n`
    await writeFile(hostsFile, `${filling}192.0.2.77 hooks.example.org\n192.0.2.8 late.example\n`)
    for (const name of ['late.example', 'hooks.example', 'hooks.exam', 'hooks'])
      expect(await resolveBy(server)(name, stopping.signal)).toEqual([{ address: '192.0.2.1', family: 4 }])
  })

  test.each(['127.0.0.1', '8.8.8.8', '::1', '2606:4700::1111'])(
    'that is an address is itself, and nobody is asked: %s',
    async (address) => {
      const server = await nameServer(() => ['192.0.2.1'])
      await writeFile(hostsFile, `192.0.2.1 ${address}\n`)
      const family = address.includes(':') ? 6 : 4
      expect(await resolveBy(server)(address, stopping.signal)).toEqual([{ address, family }])
      expect(server.asked).toEqual([])
    },
  )

  test.each(['localhost', 'localhost.', 'hooks.localhost'])(
    'of this host is the loopback: %s',
    async (name) => {
      const server = await nameServer(() => ['192.0.2.1'])
      await writeFile(hostsFile, '192.0.2.1 localhost hooks.localhost\n')
      expect((await resolveBy(server)(name, stopping.signal)).map(({ address }) => address)).toEqual([
        '127.0.0.1',
        '::1',
      ])
      expect(server.asked).toEqual([])
    },
  )
})

describe('a name server that never answers', () => {
  test('keeps no other name waiting, however many ask it', async () => {
    const silent = await nameServer(() => 'silence')
    const awake = await nameServer(({ family }) => (family === 4 ? ['192.0.2.1'] : []))
    await writeFile(hostsFile, '192.0.2.7 local.example\n')
    const waiting = Array.from({ length: 64 }, (_, index) =>
      resolveBy(silent)(`hostile-${index}.example`, stopping.signal).then(
        () => 'answered',
        (error: unknown) => error,
      ),
    )
    await silent.untilAsked(64)
    // All of them still wait: whichever of these is over first was not kept.
    const innocent = async (): Promise<readonly string[]> => {
      const found = []
      for (const name of ['localhost', 'local.example', '127.0.0.1', 'hooks.example'])
        found.push((await resolveBy(awake)(name, stopping.signal))[0]?.address ?? '')
      return found
    }
    expect(await Promise.race([innocent(), ...waiting])).toEqual([
      '127.0.0.1',
      '192.0.2.7',
      '127.0.0.1',
      '192.0.2.1',
    ])
    stopping.abort()
    for (const ended of await Promise.all(waiting)) expect(ended).toMatchObject({ code: 'ECANCELLED' })
  })

  test('is not waited for when the signal has come before', async () => {
    const silent = await nameServer(() => 'silence')
    stopping.abort()
    await expect(resolveBy(silent)('hooks.example', stopping.signal)).rejects.toMatchObject({
      code: 'ECANCELLED',
    })
  })
})

describe('a webhook whose name server', () => {
  let clock: FakeClock
  let receiver: Receiver

  beforeEach(async () => {
    clock = new FakeClock()
    receiver = await Receiver.open(status(204))
  })

  afterEach(async () => {
    await receiver.close()
    expect(clock.waiting).toBe(0)
  })

  function post(url: string, options: Partial<WebhookOptions>, attempts = 0): Promise<Verdict> {
    const client = new WebhookClient({ key: KEY, addresses: 'public', clock, ...options })
    return client.post({ ...newDelivery(), lease: '1', attempts }, url, stopping.signal)
  }

  test.each(['localhost', 'hooks.localhost', '127.0.0.1'])(
    'is not needed is reached without a thread of the process: %s',
    async (host) => {
      const { lookup } = dns
      const { lookup: promisedLookup } = dns.promises
      const refuse = (): never => {
        throw new Error('a thread was asked')
      }
      Object.assign(dns, { lookup: refuse })
      Object.assign(dns.promises, { lookup: refuse })
      syncBuiltinESMExports()
      try {
        expect(await post(`http://${host}:${receiver.port}/`, { addresses: 'any' })).toEqual({
          kind: 'delivered',
        })
      } finally {
        Object.assign(dns, { lookup })
        Object.assign(dns.promises, { lookup: promisedLookup })
        syncBuiltinESMExports()
      }
    },
  )

  test('never answers is given up when the time of a try is over', async () => {
    const server = await nameServer(() => 'silence')
    const posted = post('http://hooks.example/', { resolve: resolveBy(server) })
    await server.untilAsked(1)
    clock.advance(WEBHOOK_TIMEOUT_MS)
    expect(await posted).toEqual({ kind: 'failed', reason: 'webhook-timeout' })
  })

  test.each([
    ['127.0.0.1', '::1'],
    ['10.1.2.3', 'fd00::1'],
    ['169.254.169.254', '0:0:0:0:0:ffff:7f00:1'],
    ['192.168.1.1', '64:ff9b::7f00:1'],
    ['100.100.100.200', '2002:7f00:1::'],
  ])('says %s and %s is refused', async (ipv4, ipv6) => {
    const server = await nameServer(({ family }) => [family === 4 ? ipv4 : ipv6])
    const url = `http://hooks.example:${receiver.port}/`
    for (const attempts of [0, 1])
      expect(await post(url, { resolve: resolveBy(server) }, attempts)).toEqual({
        kind: 'refused',
        reason: 'webhook-address-refused',
      })
    expect(receiver.received).toEqual([])
  })

  test('says a private address after a public one is refused at the next try', async () => {
    let isPrivate = false
    const server = await nameServer(({ family }) =>
      family === 6 ? [] : [isPrivate ? '127.0.0.1' : '8.8.8.8'],
    )
    const resolve = resolveBy(server)
    const before = await resolve('hooks.example', stopping.signal)
    expect(before.map(({ address }) => isPublicAddress(address))).toEqual([true])
    isPrivate = true
    expect(await post(`http://hooks.example:${receiver.port}/`, { resolve })).toEqual({
      kind: 'refused',
      reason: 'webhook-address-refused',
    })
    expect(receiver.received).toEqual([])
  })

  test('says another address a moment later is believed the first time: that one is connected to', async () => {
    const other = '127.0.0.2'
    let answers = 0
    const server = await nameServer(({ family }) => {
      if (family === 6) return []
      answers += 1
      return [answers === 1 ? '127.0.0.1' : other]
    })
    const url = `http://hooks.example:${receiver.port}/`
    expect(await post(url, { addresses: 'any', resolve: resolveBy(server) })).toEqual({ kind: 'delivered' })
    expect(receiver.received).toMatchObject([
      { address: '127.0.0.1', headers: { host: `hooks.example:${receiver.port}` } },
    ])
    expect(server.asked.toSorted((a, b) => a.family - b.family)).toEqual([
      { name: 'hooks.example', family: 4 },
      { name: 'hooks.example', family: 6 },
    ])
  })
})
