import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_READ_BYTES, readFailureBody } from '../../src/contracts/failure-body.ts'
import { payloadOf } from '../../src/model/payload.ts'

const read = (body: unknown) => readFailureBody(payloadOf(JSON.stringify(body)))

describe('an error body', () => {
  test('with a list of lines as its stack is read as it is', () => {
    const stackTrace = ['TypeError: no', '    at f (/code/index.js:1:1)']
    expect(read({ errorMessage: 'no', errorType: 'TypeError', stackTrace })).toEqual({
      message: 'no',
      type: 'TypeError',
      stack: stackTrace,
    })
  })

  test('with frames as lists of parts has lines in their place', () => {
    const stackTrace = [
      ['File "/code/index.py"', 'line 5', 'in handler', 'inner()'],
      ['File "/code/index.py"', 'line 2', 'in inner'],
    ]
    expect(read({ errorMessage: 'no', errorType: 'ValueError', stackTrace })?.stack).toEqual([
      'File "/code/index.py", line 5, in handler',
      'inner()',
      'File "/code/index.py", line 2, in inner',
    ])
  })

  test('without a type has the type and the message that a JavaScript stack names', () => {
    const stackTrace = 'RangeError [ERR_X]: a: b\n    at main_handler (/var/user/index.js:1:1)'
    expect(
      read({ errorCode: 1, errorMessage: 'caught', requestId: 'r', stackTrace, statusCode: 430 }),
    ).toEqual({ message: 'a: b', type: 'RangeError', stack: stackTrace })
  })

  test.each([
    ['ValueError: a\nb: c', 'ValueError', 'a\nb: c'],
    ['botocore.errors.Slow: x', 'botocore.errors.Slow', 'x'],
    ['KeyboardInterrupt', 'KeyboardInterrupt', ''],
  ])(
    'without a type has the type and the message that a traceback ends with: %j',
    (ending, type, message) => {
      const trace = `Traceback (most recent call last):\n  File "/var/user/index.py", line 2, in f\n    raise\n${ending}\n`
      expect(read({ errorMessage: 'caught', stackTrace: trace })).toEqual({ message, type, stack: trace })
      expect(read({ errorMessage: trace })).toEqual({ message: trace, type, stack: undefined })
    },
  )

  test.each([
    ['null'],
    ['no: stack'],
    ['a text\nof lines'],
    ['Traceback (most recent call last):'],
    ['not a name: x\n    at f'],
  ])('names no type by the text %j', (stackTrace) => {
    expect(read({ errorMessage: 'm', stackTrace })).toEqual({ message: 'm', type: '', stack: stackTrace })
  })

  test('with only a message is one, and members of another form count as missing', () => {
    const expected = { message: 'm', type: '', stack: undefined }
    expect(read({ errorMessage: 'm' })).toEqual(expected)
    expect(readFailureBody(payloadOf('\n {"errorMessage":"m"}'))).toEqual(expected)
    expect(read({ errorMessage: 'm', errorType: 7, stackTrace: {} })).toEqual(expected)
    expect(read({ errorMessage: 'm', stackTrace: [1, null, [], [2], 'line'] })?.stack).toEqual(['line'])
  })

  test('is found in several chunks', () => {
    const chunks = [Buffer.from('{"errorMessage":'), Buffer.from('"m"}')]
    expect(readFailureBody({ chunks, byteLength: 20 })?.message).toBe('m')
  })

  test('keeps a bounded number of stack entries', () => {
    const stackTrace = Array.from({ length: 5000 }, (_, index) => `line ${index}`)
    expect(read({ errorMessage: 'm', stackTrace })?.stack).toHaveLength(1000)
  })
})

describe('a payload that is no error body', () => {
  test.each(['', 'null', '[]', '{', '"errorMessage"', '{"errorMessage":5}', '{}', '[{"errorMessage":"m"}]'])(
    '%j is none',
    (text) => {
      expect(readFailureBody(payloadOf(text))).toBeUndefined()
    },
  )

  test('is what is too large to be looked into', () => {
    const shell = '{"errorMessage":""}'
    const just = `{"errorMessage":"${'m'.repeat(MAX_READ_BYTES - shell.length)}"}`
    expect(readFailureBody(payloadOf(just))).toBeDefined()
    expect(readFailureBody(payloadOf(`${just} `))).toBeUndefined()
  })

  test('never throws, whatever the bytes', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({ errorMessage: fc.string(), errorType: fc.jsonValue(), stackTrace: fc.jsonValue() })
        .map((body) => JSON.stringify(body)),
    )
    fc.assert(
      fc.property(text, (body) => {
        expect(['string', 'undefined']).toContain(typeof readFailureBody(payloadOf(body))?.message)
      }),
    )
  })
})
