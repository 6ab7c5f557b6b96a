import { afterAll, describe, expect, test } from 'vitest'
import { refusedDestinations, type RefusedDestination } from '../../../src/async/destinations/configured.ts'
import { EngineError } from '../../../src/model/errors.ts'
import type { DestinationTarget } from '../../../src/store/outbox.ts'
import { queueOf } from '../../helpers/queue-door.ts'
import { Suite } from '../../parity/alibaba-fc/clients.ts'

const OWNER = { account: '1', namespace: 'default', name: 'resize' }

const refused = (
  target: DestinationTarget,
  addresses: 'public' | 'any' = 'public',
): readonly RefusedDestination[] =>
  refusedDestinations(OWNER, {
    words: new Map([
      [
        'any',
        {
          bodyOf: () => ({ body: Buffer.alloc(0), contentType: '' }),
          settingsOf: () => ({
            policy: { maxRetries: 0, maxAgeMs: 1 },
            destinations: { onFailure: { dialect: 'any', target } },
          }),
        },
      ],
    ]),
    requireFunction: ({ namespace, name }) => {
      if (name !== 'known') throw new EngineError('caller/function-not-found', { namespace, name })
    },
    addresses,
  })

describe('a destination that is configured', () => {
  test.each([
    'http://127.0.0.1:8087/hook?token=secret',
    'https://10.1.2.3/',
    'http://[::1]/',
    'http://localhost/',
    'http://hook.localhost:1/',
  ])('at %s is refused where webhooks are public, and its origin is told', (url) => {
    const { origin } = new URL(url)
    expect(refused({ kind: 'webhook', url })).toEqual([
      { on: 'failure', destination: origin, reason: 'webhook-address-refused' },
    ])
    expect(refused({ kind: 'webhook', url }, 'any')).toEqual([])
  })

  test('at a public address, or a name that only a try looks up, is not refused', () => {
    for (const url of ['https://93.184.215.14/', 'https://hook.internal/'])
      expect(refused({ kind: 'webhook', url })).toEqual([])
  })

  test('is refused as a URL that is no webhook, or as a function that is not there', () => {
    expect(refused({ kind: 'webhook', url: 'https://user:secret@example.com/' }, 'any')).toEqual([
      { on: 'failure', destination: 'https://example.com', reason: 'webhook-url-invalid' },
    ])
    expect(refused({ kind: 'function', ...OWNER, name: 'unknown' })).toEqual([
      { on: 'failure', destination: 'default/unknown', reason: 'caller/function-not-found' },
    ])
    expect(refused({ kind: 'function', ...OWNER, name: 'known' })).toEqual([])
    expect(refused({ kind: 'unreachable', name: 'acs:mns:queue' })).toEqual([])
  })
})

describe('a server', () => {
  let suite: Suite | undefined
  afterAll(() => suite?.server.close())

  test('warns its operator once for each configuration of destinations that would be refused, and says what it waits for at its end', async () => {
    suite = await Suite.start('refused', { ANVOKE_SHUTDOWN_GRACE_SECONDS: '0' })
    await suite.deploy(
      'work',
      'exports.handler = () => new Promise((resolve) => setInterval(resolve, 1e6))',
      {
        timeout: 600,
      },
    )
    const { server } = suite
    const warnings = (): readonly string[] =>
      server.output.split('\n').filter((line) => line.includes('destinations cannot be told as things are'))
    const arn = 'acs:fc:cn-hangzhou:1234567890123456:services/refused/functions'
    const configure = (onSuccess: string, onFailure: string): Promise<unknown> =>
      suite!.fc2.putFunctionAsyncConfig('refused', 'work', undefined, {
        destinationConfig: { onSuccess: { destination: onSuccess }, onFailure: { destination: onFailure } },
      })
    await configure('http://127.0.0.1:1/secret', `${arn}/unknown`)
    await expect.poll(() => warnings().length).toBe(1)
    expect(warnings()[0]).toMatch(/http:\/\/127\.0\.0\.1:1.*webhook-address-refused/)
    expect(warnings()[0]).toMatch(/refused\/unknown.*caller\/function-not-found/)
    expect(warnings()[0]).not.toContain('secret')
    await configure(`${arn}/work`, `${arn}/work`)
    await suite.invokeAsync('work', 'x')
    await expect.poll(async () => (await queueOf(server, ['refused', 'work'])).running).toBe(1)
    await server.stop()
    expect(warnings()).toHaveLength(1)
    expect(server.output).toMatch(/waits for what is under way.*asyncRuns\W+1\b/)
  })
})
