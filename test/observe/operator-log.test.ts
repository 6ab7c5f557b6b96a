import { describe, expect, test } from 'vitest'
import { OperatorLog, type OperatorLogOptions } from '../../src/observe/operator-log.ts'

function create(options: Partial<OperatorLogOptions> = {}) {
  const lines: string[] = []
  const log = new OperatorLog({
    format: 'json',
    write: (line) => lines.push(line),
    clock: () => 0,
    ...options,
  })
  return { log, lines, events: () => lines.map((line): Record<string, unknown> => JSON.parse(line)) }
}

describe('OperatorLog', () => {
  test('writes one JSON object a line', () => {
    const { log, lines, events } = create()
    log.warn('disk is\nfull', { freeBytes: 3, path: '/data\n', nothing: undefined })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^[^\n]*\n$/)
    expect(events()).toEqual([
      {
        time: '1970-01-01T00:00:00.000Z',
        level: 'warn',
        event: 'disk is\nfull',
        freeBytes: 3,
        path: '/data\n',
      },
    ])
  })

  test('writes text on one line, whatever is in it', () => {
    const { log, lines } = create({ format: 'text' })
    log.error('bad\nrequest', { path: '/a b', status: 400, reason: 'x\nERROR forged' })
    expect(lines).toEqual([
      '1970-01-01T00:00:00.000Z error bad request path="/a b" status=400 reason="x\\nERROR forged"\n',
    ])
  })

  test('leaves out what is below its level', () => {
    const { log, events } = create({ level: 'warn' })
    log.debug('a')
    log.info('b')
    log.warn('c')
    log.error('d')
    expect(events().map(({ event }) => event)).toEqual(['c', 'd'])
  })

  test('never writes the value of a field that is named like a secret, nested or not', () => {
    const { log, lines } = create()
    log.info('started', { accessKeySecret: 'hunter2', settings: { authorization: 'hunter2', port: 1 } })
    expect(lines[0]).not.toContain('hunter2')
    expect(lines[0]).toContain('[redacted]')
  })

  test('bounds a flood, and says afterwards how much it left out', () => {
    let nowMs = 0
    const { log, lines, events } = create({ clock: () => nowMs, linesPerSecond: 1 })
    for (let count = 0; count < 1000; count += 1) log.warn('bad request')
    expect(lines).toHaveLength(10)
    nowMs = 2000
    log.warn('bad request')
    expect(events().slice(10)).toEqual([
      expect.objectContaining({ event: 'events left out: too many at once', count: 990 }),
      expect.objectContaining({ event: 'bad request' }),
    ])
  })

  test('has room for an error in a flood of lesser events', () => {
    const { log, events } = create({ linesPerSecond: 1 })
    for (let count = 0; count < 1000; count += 1) log.warn('bad request')
    log.error('the store failed')
    expect(events().at(-1)).toMatchObject({ level: 'error', event: 'the store failed' })
  })

  test('bounds the length of a line', () => {
    for (const format of ['json', 'text'] as const) {
      const { log, lines } = create({ format })
      log.warn('long', Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`f${n}`, 'x'.repeat(5000)])))
      expect(lines[0]!.length).toBeLessThan(9_000)
    }
  })

  test('writes what cannot be turned into JSON', () => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const { log, events } = create()
    log.error('odd', { circular, error: new Error('boom'), big: 1n, infinite: Infinity })
    expect(events()).toEqual([
      expect.objectContaining({ circular: '[object Object]', error: 'boom', big: '1', infinite: 'Infinity' }),
    ])
  })
})
