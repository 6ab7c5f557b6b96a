import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HOST, METADATA, PORTS, WEB } from './addresses.ts'
import { Lab, firstLineOf, users, whyNot } from './lab.ts'

describe.runIf(whyNot === undefined).each(users)(
  'a process that no sandbox of the driver holds, with %s',
  (user) => {
    let lab: Lab
    beforeAll(async () => {
      lab = await Lab.open()
    })
    afterEach(() => lab.restore())
    afterAll(() => lab.close())

    test('gets a way out where its user namespace lies in another one', async () => {
      const targets = [
        ['http', WEB, PORTS.web],
        ['tcp', HOST, PORTS.control],
        ['tcp', METADATA, PORTS.web],
      ]
      const line = await firstLineOf(lab.run('nested-owner.ts', JSON.stringify(targets), user))
      expect(JSON.parse(line)).toEqual({
        answers: {
          [`http ${WEB} ${PORTS.web}`]: `the world at ${WEB}`,
          [`tcp ${HOST} ${PORTS.control}`]: 'EPERM',
          [`tcp ${METADATA} ${PORTS.web}`]: 'EPERM',
        },
        devices: expect.arrayContaining(['tap0']) as string[],
        lost: 0,
      })
    })
  },
)
