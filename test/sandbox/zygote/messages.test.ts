import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  encodeConfig,
  encodeOrder,
  encodeWithdrawal,
  MessageReader,
  type ForkOrder,
  type ZygoteConfig,
} from '../../../src/sandbox/zygote/messages.ts'

const PAGE = readFileSync(new URL('../../../src/runtimes/protocol.md', import.meta.url), 'utf8')

const CONFIG: ZygoteConfig = {
  firstFd: 7,
  filter: null,
  ownUserNamespace: false,
  hostName: 'sandbox',
  hidden: '/hidden',
  sharedMemoryBytes: 1,
  birthTimeoutMs: 1,
}

const ORDER: ForkOrder = {
  uid: 700_000,
  entries: [],
  mounts: [],
  ownNetwork: true,
  tmpBytes: 1,
  limits: { fileBytes: 1, openFiles: 1, pendingSignals: 1, queueBytes: 1, tasks: null },
  workDir: '/code',
}

/** What the page says goes in one direction, as it writes it. */
function linesOnPage(direction: 'zygote' | 'server'): string[] {
  const section = PAGE.slice(PAGE.indexOf('\n## Zygotes'), PAGE.indexOf('\n## Where modules'))
  const rows = section.matchAll(/^\| (.+?) +\| → (\w+) +\|/gm)
  return [...rows].filter(([, , to]) => to === direction).map(([, line = '']) => line)
}

test('what a zygote is told stands on the page of the protocol, and no more', () => {
  const shapeOf = (line: string): string =>
    `\`${line
      .replace(/^\d+/, 'set')
      .replace(/\{.*\}/, '{…}')
      .trim()}\``
  const told = [encodeOrder(3, ORDER), encodeWithdrawal(3)].map(shapeOf)
  expect(linesOnPage('zygote')).toEqual(['the configuration', ...told])
  expect(shapeOf(encodeConfig(CONFIG))).toBe('`{…}`')
})

test('what a zygote tells stands on the page of the protocol, and no more', () => {
  const values: Readonly<Record<string, unknown>> = { ready: true, refused: 'no processes' }
  const read = linesOnPage('server').flatMap((shape) => {
    const names = shape.replaceAll(/: \w+/g, '').match(/\w+/g) ?? []
    const message = Object.fromEntries(names.map((name) => [name, values[name] ?? 5]))
    return new MessageReader().read(Buffer.from(`${JSON.stringify(message)}\n`))
  })
  expect(read).toEqual([
    { kind: 'ready' },
    { kind: 'born', set: 5, first: 5, firstStart: 5, function: 5, functionStart: 5 },
    { kind: 'refused', set: 5, reason: 'no processes' },
    { kind: 'ended', set: 5, exitCode: 5 },
  ])
})

test.each([
  '{"set":1}',
  '{"set":"1","ended":0}',
  '{"set":1,"born":true}',
  '{"set":1,"first":2,"function":3}',
  'null',
  '5',
])('what is not on it is no message: %s', (line) => {
  expect(() => new MessageReader().read(Buffer.from(`${line}\n`))).toThrow('something else than a message')
})
