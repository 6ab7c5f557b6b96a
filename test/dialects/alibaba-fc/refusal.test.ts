import { afterAll, beforeAll, expect, test } from 'vitest'
import { toBuffer } from '../../../src/model/payload.ts'
import { openHarness, type Harness } from './harness.ts'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())

test('a refusal of the listener has the shape of every other failure, and the request id of its caller', () => {
  const refusal = { status: 417, code: 'ExpectationFailed', message: 'no' }
  const reply = server.dialect.refuse?.(refusal, { 'x-fc-trace-id': 'trace-1' })
  expect(reply).toMatchObject({ status: 417, headers: { 'X-Fc-Request-Id': 'trace-1' } })
  const body = reply?.body !== undefined && 'chunks' in reply.body ? toBuffer(reply.body).toString() : ''
  expect(JSON.parse(body)).toEqual({
    RequestId: 'trace-1',
    Code: 'ExpectationFailed',
    Message: 'no',
    ErrorCode: 'ExpectationFailed',
    ErrorMessage: 'no',
  })
})
