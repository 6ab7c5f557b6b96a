import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestServer } from '../../helpers/server.ts'
import { fc2Client } from '../alibaba-fc/clients.ts'
import { entrancesOf, REGION, type Entrance, type Seen } from './entrances.ts'
import { FUNCTIONS, NAMESPACE } from './functions.ts'

const ENTRANCES = [
  'Alibaba FC 2016-08-15',
  'Alibaba FC 2021-04-06',
  'Huawei FunctionGraph v2',
  'Tencent SCF 3.0',
  'Tencent SCF 2.0',
]

let server: TestServer
let entrances: ReadonlyMap<string, Entrance>

beforeAll(async () => {
  server = await TestServer.start({ ANVOKE_REGION: REGION })
  entrances = new Map(entrancesOf(server).map((entrance) => [entrance.name, entrance]))
  await fc2Client(server).createService(NAMESPACE)
  for (const { deploy } of FUNCTIONS) await deploy(server)
}, 60_000)

afterAll(() => server?.close())

describe.each(FUNCTIONS)('$contract code in $language', ({ name, sees }) => {
  const call = async (entrance: string, what: string): Promise<{ seen: Seen; mark: string }> => {
    const mark = `${what} through ${entrance}`
    const seen = await through(entrance).invoke(NAMESPACE, name, JSON.stringify({ do: what, mark }))
    expect(seen.requestId).toMatch(/^[\w-]{8,}$/)
    return { seen, mark }
  }

  test.each(ENTRANCES)('sees its own contract and answers through %s', async (entrance) => {
    const { seen, mark } = await call(entrance, 'return')
    expect(seen.failed).toBe(false)
    expect(JSON.parse(seen.text)).toEqual({ mark, sees })
  })

  test.each(ENTRANCES)('that throws is a failure told by %s', async (entrance) => {
    const { seen, mark } = await call(entrance, 'throw')
    expect(seen.failed).toBe(true)
    expect(seen.text).toContain(`on purpose ${mark}`)
  })

  // All at once: each takes its whole time limit.
  test('that takes too long is a failure told by every caller', async () => {
    const calls = await Promise.all(ENTRANCES.map(async (entrance) => call(entrance, 'sleep')))
    for (const { seen } of calls) {
      expect(seen.failed).toBe(true)
      expect(seen.text).toMatch(/timed? ?out/i)
      expect(seen.text).toContain('3')
    }
  }, 60_000)

  test.each(ENTRANCES)('has the tail of its log returned by %s', async (entrance) => {
    const { seen, mark } = await call(entrance, 'log')
    expect(seen.failed).toBe(false)
    expect(seen.log).toContain(`logged ${mark}`)
    expect(seen.log).toContain(seen.requestId)
  })

  test.each(ENTRANCES)('runs later when %s asks for it', async (entrance) => {
    const mark = `later through ${entrance}`
    const requestId = await through(entrance).invokeAsync(
      NAMESPACE,
      name,
      JSON.stringify({ do: 'log', mark }),
    )
    expect(requestId).toMatch(/^[\w-]{8,}$/)
    const log = await server.untilLogged(NAMESPACE, name, (text) => text.includes(`logged ${mark}`))
    const line = log.split('\n').find((text) => text.includes(`logged ${mark}`))
    expect(line).toContain(requestId)
  })
})

function through(name: string): Entrance {
  const entrance = entrances.get(name)
  if (entrance === undefined) throw new Error(`no entrance '${name}'`)
  return entrance
}
