import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNT } from '../../helpers/server.ts'
import { Suite } from '../../parity/alibaba-fc/clients.ts'
import { Receiver, status, type Received } from './harness.ts'

/** Fails when it is told to. */
const WORK = `exports.handler = async (event) => {
  if (String(event) === 'fail') throw new TypeError('as told')
  return 'done ' + event
}`

let suite: Suite
let receiver: Receiver

beforeAll(async () => {
  suite = await Suite.start('endings', { ANVOKE_WEBHOOK_ADDRESSES: 'any' })
  receiver = await Receiver.open(status(200))
  await suite.deploy('work', WORK)
  await suite.deploy('tell', `exports.handler = async (event) => { console.log('told ' + event) }`)
})

afterAll(async () => {
  await suite?.server.close()
  await receiver?.close()
})

async function configure(onSuccess: string, onFailure: string): Promise<void> {
  await suite.fc2.putFunctionAsyncConfig('endings', 'work', undefined, {
    maxAsyncRetryAttempts: 0,
    destinationConfig: { onSuccess: { destination: onSuccess }, onFailure: { destination: onFailure } },
  })
}

/** The next message that the receiver gets. */
function nextMessage(): Promise<Received> {
  const { promise, resolve } = Promise.withResolvers<Received>()
  receiver.answerWith((received, response) => {
    resolve(received)
    status(200)(received, response)
  })
  return promise
}

const functionArn = (name: string): string =>
  `acs:fc:cn-hangzhou:${ACCOUNT}:services/endings/functions/${name}`

describe('a server', () => {
  test('posts a success to a webhook, signed with the key that is documented', async () => {
    await configure(receiver.url, receiver.url)
    const message = nextMessage()
    const requestId = await suite.invokeAsync('work', 'well')
    const { body, headers } = await message
    expect(JSON.parse(body)).toMatchObject({
      requestContext: { requestId, condition: '' },
      requestPayload: 'well',
      responseContext: { statusCode: 200, functionError: '' },
      responsePayload: 'done well',
    })
    const file = await readFile(join(suite.server.dataDir, 'credentials.json'), 'utf8')
    const { signingKey } = JSON.parse(file) as { signingKey: string }
    const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
    const key = hmac(hmac(Buffer.from(signingKey, 'base64'), 'webhooks'), ACCOUNT)
    const signed = hmac(key, [headers['webhook-id'], headers['webhook-timestamp'], body].join('.'))
    expect(headers['webhook-signature']).toBe(`v1,${signed.toString('base64')}`)
  })

  test('posts a failure to a webhook', async () => {
    await configure(functionArn('tell'), receiver.url)
    const message = nextMessage()
    const requestId = await suite.invokeAsync('work', 'fail')
    const { body } = await message
    expect(JSON.parse(body)).toMatchObject({ requestContext: { requestId }, requestPayload: 'fail' })
    expect(JSON.parse(body).requestContext.condition).not.toBe('')
  })

  test('calls a function with what came of a call', async () => {
    await configure(functionArn('tell'), functionArn('tell'))
    const requestId = await suite.invokeAsync('work', 'for the other')
    const log = await suite.untilLogged('tell', (text) => text.includes(requestId))
    expect(log).toContain('done for the other')
  })

  test('says of what only the vendor has that it was not told', async () => {
    const queue = `acs:mns:cn-hangzhou:${ACCOUNT}:/queues/q/messages`
    await configure(queue, queue)
    const requestId = await suite.invokeAsync('work', 'to nowhere')
    await expect
      .poll(() => suite.server.output, { timeout: 20_000 })
      .toMatch(new RegExp(`could not be told.*${requestId}.*target-unreachable`))
  })
})

test('a server does not post to itself unless it is allowed to', async () => {
  const strict = await Suite.start('endings')
  try {
    await strict.deploy('work', WORK)
    await strict.fc2.putFunctionAsyncConfig('endings', 'work', undefined, {
      destinationConfig: { onSuccess: { destination: `http://localhost:${strict.server.port}/` } },
    })
    await strict.invokeAsync('work', 'x')
    await expect
      .poll(() => strict.server.output, { timeout: 20_000 })
      .toMatch(/could not be told.*webhook-address-refused/)
  } finally {
    await strict.server.close()
  }
})
