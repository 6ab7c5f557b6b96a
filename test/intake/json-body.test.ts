import { expect, test } from 'vitest'
import { parseJsonObject, readJsonBody } from '../../src/intake/json-body.ts'
import { PARSED_BODY_BYTES } from '../../src/intake/large-body.ts'
import { Turns } from '../../src/intake/slices.ts'
import { EMPTY_PAYLOAD, payloadOf } from '../../src/model/payload.ts'

const PATHS = ['file', 'code.file']
const read = (text: string | Buffer) => readJsonBody(payloadOf(text), new Turns(), PATHS)

test.each(['', 'null', ' null ', '{}'])('a body of %j says nothing', async (text) => {
  expect(await read(text)).toEqual({ body: {} })
})

test('no body is an empty one', async () => {
  expect(await readJsonBody(EMPTY_PAYLOAD, new Turns(), PATHS)).toEqual({ body: {} })
})

test.each([
  ['not-json', '{'],
  ['not-an-object', '[1]'],
  ['not-an-object', '"text"'],
  ['not-utf8', Buffer.from([0x7b, 0xff, 0x7d])],
])('a body is refused as %s: %j', async (code, bytes) => {
  await expect(read(bytes)).rejects.toMatchObject({ name: 'IntakeError', code })
})

test('a refusal quotes nothing of the body', () => {
  expect(() => parseJsonObject(Buffer.from('{"password": hunter2'))).toThrow(/^not-json \{\}$/)
})

test('a short body keeps its file, a long one hands it out decoded, once it is asked for', async () => {
  expect(await read('{"file":"QUJD"}')).toEqual({ body: { file: 'QUJD' } })
  const bytes = Buffer.alloc(PARSED_BODY_BYTES, 7)
  const { body, takeCut } = await read(`{"name":"x","code":{"file":"${bytes.toString('base64')}"}}`)
  expect(body).toEqual({ name: 'x', code: { file: '' } })
  expect(Buffer.concat((await takeCut?.()) ?? [])).toEqual(bytes)
})

test('a long body without a file is parsed within its bound and refused beyond it', async () => {
  const body = await read(`{"file":""${' '.repeat(PARSED_BODY_BYTES - 10)}}`).catch((error: unknown) => error)
  expect(body).toMatchObject({ code: 'too-large' })
  const { takeCut } = await read(`{"file":"${'!'.repeat(PARSED_BODY_BYTES)}"}`)
  await expect(takeCut?.()).rejects.toMatchObject({ code: 'not-base64' })
})
