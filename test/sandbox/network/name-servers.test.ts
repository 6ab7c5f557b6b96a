import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { nameServersBehind } from '../../../src/sandbox/network/name-servers.ts'
import { eventually } from '../harness.ts'
import { Conversation, TALKING } from './ask.ts'
import { HOST, METADATA, NAME_SERVER, PORTS, WEB } from './addresses.ts'
import { Lab, users, whyNot } from './lab.ts'
import { LONG_NAME, WEB_NAME } from './name-service.ts'

/** Where systemd-resolved listens, and what the service there answers in these tests. */
const STUB = '127.0.0.53'
const [FIRST, SECOND] = ['192.0.2.1', '192.0.2.2']
const lookup = ['lookup', WEB_NAME] as const
const question = ['question', WEB_NAME] as const

describe.runIf(whyNot === undefined).each(users)('name servers of the host, with %s', (user) => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.restore())
  afterAll(() => lab.close())

  const talk = (): Conversation => new Conversation(lab.owner(TALKING, user))

  test.each(['file', 'link'] as const)(
    'answer on its loopback, where nothing else can be reached: resolv.conf is a %s',
    async (layout) => {
      await lab.resolver(STUB, FIRST)
      lab.nameServers(`# systemd-resolved\nnameserver ${STUB}\noptions edns0 trust-ad\nsearch .\n`, layout)
      const conversation = talk()
      expect(
        await conversation.ask(lookup, question, ['question', LONG_NAME], ['question', 'none.example']),
      ).toEqual({
        [lookup.join(' ')]: FIRST,
        [question.join(' ')]: FIRST,
        [`question ${LONG_NAME}`]: FIRST,
        'question none.example': 'ENOTFOUND',
      })
      const others = await conversation.ask(
        ...['10.0.2.3', '10.0.2.2', STUB, '127.0.0.1'].flatMap((host) => [
          ['glance', host, PORTS.control] as const,
          ['glance', host, PORTS.loopback] as const,
          ['brief', host, PORTS.datagrams] as const,
        ]),
        ['glance', STUB, 53],
      )
      expect(Object.values(others).filter((answer) => !/^(E[A-Z]+|timeout)$/.test(answer))).toEqual([])
      expect(await conversation.end()).toEqual([])
    },
  )

  test('answer at an address of the host, where they cannot be reached otherwise', async () => {
    await lab.resolver(HOST, FIRST)
    lab.nameServers(`nameserver ${HOST}\n`)
    const answers = await talk().ask(lookup, question, ['glance', HOST, 53])
    expect(Object.values(answers)).toEqual([FIRST, FIRST, 'EPERM'])
  })

  test('answer where clouds also give out credentials, which cannot be reached', async () => {
    lab.nameServers(`nameserver ${METADATA}\n`)
    const answers = await talk().ask(
      lookup,
      ['glance', METADATA, 53],
      ['glance', METADATA, PORTS.web],
      ['http', '10.0.2.3', PORTS.web],
    )
    expect(Object.values(answers)).toEqual([WEB, 'EPERM', 'EPERM', expect.stringMatching(/^E[A-Z]+$/)])
  })

  test.each([
    ['refuses', '127.0.0.99'],
    ['is silent', '198.51.100.99'],
  ])('answer in the place of the first one that %s', async (_how, dead) => {
    lab.nameServers(`nameserver ${dead}\nnameserver ${NAME_SERVER}\n`)
    expect(await talk().ask(lookup)).toEqual({ [lookup.join(' ')]: WEB })
  })

  test.each(['file', 'link'] as const)(
    'are others when the host changes them: resolv.conf is a %s',
    async (layout) => {
      await Promise.all([lab.resolver(STUB, FIRST), lab.resolver('127.0.0.54', SECOND)])
      lab.nameServers(`nameserver ${STUB}\n`, layout)
      const conversation = talk()
      expect(await conversation.ask(lookup)).toEqual({ [lookup.join(' ')]: FIRST })
      lab.nameServers('nameserver 127.0.0.54\n', layout)
      await eventually(async () => Object.values(await conversation.ask(lookup))[0] === SECOND)
    },
  )
})

test('those outside are named behind the first one, which the carrier asks, and at most three in all', () => {
  const through = 'nameserver 10.0.2.3\n'
  const cases = [
    ['', ''],
    ['nameserver 192.0.2.1\n', ''],
    ['nameserver ::1\nnameserver 192.0.2.1\n', ''],
    ['nameserver 127.0.0.53\nnameserver 127.0.0.54\nnameserver 0.0.0.0\n', ''],
    ['nameserver 192.0.2.1\n#nameserver 192.0.2.2\nnameserver\t192.0.2.3 # two\n', 'nameserver 192.0.2.3\n'],
    [
      [1, 2, 3, 4, 5].map((last) => `nameserver 192.0.2.${last}\n`).join(''),
      'nameserver 192.0.2.2\nnameserver 192.0.2.3\n',
    ],
    ['nameserver 127.0.0.1\nnameserver 192.0.2.1;rm\n', ''],
  ]
  expect(cases.map(([text = '']) => nameServersBehind(text))).toEqual(
    cases.map(([, others]) => through + others),
  )
})
