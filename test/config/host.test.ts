import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inspectHost } from '../../src/config/host.ts'

describe('inspectHost', () => {
  test.each([
    [{ STATE_DIRECTORY: '/var/lib/anvoke', XDG_DATA_HOME: '/xdg' }, '/var/lib/anvoke'],
    [{ STATE_DIRECTORY: '/var/lib/one:/var/lib/two' }, '/var/lib/one'],
    [{ STATE_DIRECTORY: '', XDG_DATA_HOME: '/xdg' }, '/xdg/anvoke'],
  ])('puts data where %j says', (environment, dataDir) => {
    expect(inspectHost(environment).dataDir).toBe(dataDir)
  })

  test('puts data under the home directory when nobody says', () => {
    const expected = join(homedir(), '.local', 'share', 'anvoke')
    expect(inspectHost({}).dataDir).toBe(expected)
    expect(inspectHost({ XDG_DATA_HOME: 'relative' }).dataDir).toBe(expected)
  })

  test('finds at least one core and some memory', () => {
    const { cores, memoryBytes } = inspectHost({})
    expect(cores).toBeGreaterThanOrEqual(1)
    expect(memoryBytes).toBeGreaterThan(64 * 2 ** 20)
  })
})
