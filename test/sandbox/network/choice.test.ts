import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BwrapSandbox } from '../../../src/sandbox/bwrap/driver.ts'
import { chooseNetwork, type NetworkSetting } from '../../../src/sandbox/network/choice.ts'
import type { EgressPrograms } from '../../../src/sandbox/network/egress.ts'
import { chooseSandbox, findProgram, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox } from '../../../src/sandbox/sandbox.ts'

const bwrap = (await probeSandboxes()).find(({ driver }) => driver === 'bwrap')
if (bwrap?.works !== true) process.stderr.write(`Networks in bwrap are not tested: ${bwrap?.detail}\n`)
const works = bwrap?.guards?.find(({ name }) => name === 'network')?.works === true

// There is nothing to choose without bwrap.
describe.runIf(bwrap?.works)('choosing the network of functions in bwrap', () => {
  let sandbox: Sandbox | undefined
  afterEach(() => sandbox?.close())

  function sandboxWith(egress: EgressPrograms | undefined): Sandbox {
    const [bwrapPath = '', setpriv = ''] = ['bwrap', 'setpriv'].map((name) => findProgram(name, {}))
    const privileges = process.getuid?.() === 0 ? 'dropped' : 'ownUserNamespace'
    sandbox = new BwrapSandbox({
      launchers: { bwrap: bwrapPath, setpriv },
      privileges,
      filter: undefined,
      egress,
    })
    return sandbox
  }

  test('takes a way out exactly where it works', async () => {
    sandbox = (await chooseSandbox('bwrap')).sandbox
    expect((await chooseNetwork('auto', sandbox)).policy).toBe(works ? 'egress' : 'none')
  })

  test('leaves functions without a network where nothing can make one, and says what to install', async () => {
    const chosen = await chooseNetwork('auto', sandboxWith(undefined))
    expect(chosen.policy).toBe('none')
    expect(chosen.detail).toMatch(/slirp4netns.* is not installed.*install.*slirp4netns.*iproute2/)
  })

  test('never goes without when a way out was asked for', async () => {
    await expect(chooseNetwork('egress', sandboxWith(undefined))).rejects.toThrow(
      /does not work here.*not installed/,
    )
  })

  test('tells what a helper complained of', async () => {
    const broken = {
      slirp4netns: '/bin/false',
      ip: '/bin/true',
      nsenter: '/usr/bin/nsenter',
      unshare: '/usr/bin/unshare',
    }
    const { policy, detail } = await chooseNetwork('auto', sandboxWith(broken))
    expect([policy, detail]).toEqual(['none', expect.stringContaining('slirp4netns: ended by 1')])
  })

  test('says in plain words that the device is closed, and how long its opening lasts', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'anvoke-helper-'))
    try {
      const complaining = join(dir, 'slirp4netns')
      const said = String.raw`open("/dev/net/tun"): Permission denied\nchild failed(1)\n`
      writeFileSync(complaining, `#!/bin/sh\nprintf '${said}' >&2\nexit 1\n`, { mode: 0o755 })
      const programs = {
        slirp4netns: complaining,
        ip: '/bin/true',
        nsenter: '/usr/bin/nsenter',
        unshare: '/usr/bin/unshare',
      }
      const { detail } = await chooseNetwork('auto', sandboxWith(programs))
      expect(detail).toContain(
        'A way out does not work here: slirp4netns: cannot open /dev/net/tun: Permission denied. ',
      )
      expect(detail).toMatch(/chmod 666 \/dev\/net\/tun # until the next boot; to last: .*KERNEL=="tun"/)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  // The guard says why where a way out cannot be made.
  test.runIf(works)('finds it for many processes that start at once', async () => {
    const chosen = (sandbox = (await chooseSandbox('bwrap')).sandbox)
    const choices = await Promise.all(Array.from({ length: 16 }, () => chooseNetwork('auto', chosen)))
    expect(new Set(choices.map(({ detail }) => detail)).size).toBe(1)
    expect(choices[0]?.policy).toBe('egress')
  })

  test.each(['none', 'host'] as const)('tries nothing for %s', async (setting) => {
    expect((await chooseNetwork(setting, sandboxWith(undefined))).policy).toBe(setting)
  })
})

describe('choosing the network of plain processes', () => {
  let sandbox: Sandbox
  beforeEach(async () => {
    sandbox = (await chooseSandbox('process')).sandbox
  })
  afterEach(() => sandbox.close())

  test.each(['auto', 'host'] as const)('%s is the network of the host, and says so', async (setting) => {
    const { policy, detail } = await chooseNetwork(setting, sandbox)
    expect([policy, detail]).toEqual(['host', expect.stringContaining('loopback')])
  })

  test.each<NetworkSetting>(['none', 'egress'])('refuses %s, which it cannot keep', async (setting) => {
    await expect(chooseNetwork(setting, sandbox)).rejects.toThrow(/no networks of its own/)
  })
})
