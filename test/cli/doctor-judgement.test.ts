import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import { checkDataPlace } from '../../src/cli/data-place.ts'
import { isHealthy, renderText } from '../../src/cli/doctor.ts'
import { judged, type Wishes } from '../../src/cli/doctor-judgement.ts'
import type { Finding } from '../../src/cli/server-findings.ts'

/** What the examination finds on a host, by what works there. */
function host(works: { readonly bwrap: boolean; readonly egress: boolean }): readonly Finding[] {
  const network: Finding = {
    name: 'network',
    ok: works.egress,
    required: false,
    detail: 'functions reach out',
  }
  return [
    { name: 'sandbox bwrap', ok: works.bwrap, required: true, detail: 'namespaces' },
    ...(works.bwrap ? [network] : []),
    { name: 'sandbox process', ok: true, required: false, detail: 'plain' },
  ]
}

const good = host({ bwrap: true, egress: true })
const withoutTun = host({ bwrap: true, egress: false })
const withoutBwrap = host({ bwrap: false, egress: false })

/** The last sentence, and whether the exit code is 0. */
function verdict(findings: readonly Finding[], wishes: Wishes): { ok: boolean; last: string | undefined } {
  const found = judged(findings, wishes)
  return { ok: isHealthy(found), last: renderText(found, wishes.sandbox).trim().split('\n').at(-1) }
}

describe('anvoke doctor judges what was found by the settings', () => {
  const stops = 'server with these settings does not start: network.'

  test('a network that plain processes cannot have keeps the server from starting', () => {
    for (const network of ['none', 'egress'] as const)
      expect(verdict(good, { sandbox: 'process', network })).toEqual({ ok: false, last: `A ${stops}` })
    expect(verdict(withoutBwrap, { sandbox: 'auto', network: 'none' })).toEqual({
      ok: false,
      last: `Functions cannot run isolated here: sandbox bwrap. A ${stops}`,
    })
  })

  test('a way out that was asked for is required, one that the server may do without is not', () => {
    expect(verdict(withoutTun, { sandbox: 'auto', network: 'egress' })).toEqual({
      ok: false,
      last: `Functions can run isolated here, but a ${stops}`,
    })
    expect(verdict(withoutTun, { sandbox: 'auto', network: 'auto' })).toEqual({
      ok: true,
      last: 'Functions can run isolated here; one thing could be better.',
    })
  })

  test.each(['none', 'host'] as const)(
    'the network %s is told as what it is, and needs no way out',
    (network) => {
      const told = judged(withoutTun, { sandbox: 'bwrap', network }).find(({ name }) => name === 'network')
      expect(told).toMatchObject({ ok: true, detail: expect.stringContaining(`--network ${network}`) })
      expect(told?.detail).not.toContain('reach out')
    },
  )

  test('who chooses no isolation is told so, and needs no bwrap', () => {
    expect(verdict(good, { sandbox: 'process', network: 'auto' })).toEqual({
      ok: true,
      last: 'Functions run WITHOUT isolation, as --sandbox process asks.',
    })
    expect(verdict(withoutBwrap, { sandbox: 'process', network: 'host' }).ok).toBe(true)
  })

  test('a sandbox that was asked for and does not work keeps the server from starting', () => {
    expect(verdict(withoutBwrap, { sandbox: 'bwrap', network: 'auto' })).toEqual({
      ok: false,
      last: 'Functions cannot run isolated here: sandbox bwrap. A server with these settings does not start: sandbox bwrap.',
    })
  })
})

describe('where a server could keep its data', () => {
  test.each(['/proc/x', '/proc/x/y', '/sys/x'])(
    '%s, which root seems to be able to make, cannot be used',
    (dataDir) => {
      expect(() => checkDataPlace(dataDir)).toThrow(ConfigError)
    },
  )

  test('a directory that is not there yet can be used', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'place-'))
    try {
      expect(() => checkDataPlace(join(dir, 'a', 'b'))).not.toThrow()
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
