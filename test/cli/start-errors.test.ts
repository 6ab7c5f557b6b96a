import { describe, expect, test } from 'vitest'
import { CommandFailed } from '../../src/cli/complaint.ts'
import { explainStart } from '../../src/cli/start-errors.ts'
import { loadConfig } from '../../src/config/load.ts'
import { NetworkUnavailable } from '../../src/sandbox/network/choice.ts'
import { SandboxUnavailable } from '../../src/sandbox/probe.ts'
import { StoreRefused } from '../../src/store/sqlite/store-refused.ts'

const { config } = await loadConfig({
  flags: new Map([
    ['listen', '[::1]:80'],
    ['dataDir', '/data'],
  ]),
  environment: {},
  cwd: '/',
})

describe('explainStart', () => {
  test.each([
    [
      'a port that is taken',
      Object.assign(new Error('x'), { code: 'EADDRINUSE', syscall: 'listen' }),
      /listen on \[::1\]:80/,
    ],
    [
      'a port for privileged users',
      Object.assign(new Error('x'), { code: 'EACCES', syscall: 'listen' }),
      /ports below 1024/,
    ],
    [
      'an address of another machine',
      Object.assign(new Error('EADDRNOTAVAIL'), { code: 'EADDRNOTAVAIL', syscall: 'listen' }),
      /EADDRNOTAVAIL/,
    ],
    [
      'a host without an address',
      Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }),
      /ENOTFOUND/,
    ],
    [
      'a database in use',
      new StoreRefused('/data/anvoke.db', 'is in use'),
      /\/data cannot be used: .*is in use/,
    ],
    [
      'a sandbox that does not work',
      new SandboxUnavailable('bubblewrap is missing'),
      /bubblewrap is missing/,
    ],
    [
      'a network that does not work',
      new NetworkUnavailable('slirp4netns is missing'),
      /slirp4netns is missing/,
    ],
    ['a full disk', Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write' }), /no space/],
  ])('says what to do about %s', (_name, error, expected) => {
    const explained = explainStart(error, config)
    if (!(explained instanceof CommandFailed)) throw new Error('not explained')
    expect(explained.message).toMatch(expected)
    expect(explained.complaint.fix).not.toBe('')
  })

  test.each([new SandboxUnavailable('x'), new NetworkUnavailable('x')])(
    'names the command that helps with a %s',
    (error) => {
      const explained = explainStart(error, config)
      if (!(explained instanceof CommandFailed)) throw new Error('not explained')
      expect(explained.complaint.fix).toContain('`anvoke doctor`')
    },
  )

  test.each([
    [new SandboxUnavailable('x'), '(--sandbox auto was refused)'],
    [new NetworkUnavailable('x'), '(--network auto was refused)'],
  ])('says which setting was refused with a %s', (error, said) => {
    const explained = explainStart(error, config)
    if (!(explained instanceof CommandFailed)) throw new Error('not explained')
    expect(explained.complaint.fix).toContain(said)
  })

  test('leaves a mistake of ours as it is', () => {
    const mistake = new TypeError('undefined is not a function')
    expect(explainStart(mistake, config)).toBe(mistake)
  })
})
