import { describe, expect, test } from 'vitest'
import type { DestinationWords, EndedTask } from '../../../src/async/destination-words.ts'
import { planDelivery, unsayableReason } from '../../../src/async/destinations/planner.ts'
import { DELIVERY_BYTES, type Destination } from '../../../src/store/outbox.ts'
import { newTask } from '../../contracts/store/task.ts'

const SUCCESS: Destination = { dialect: 'any', target: { kind: 'webhook', url: 'https://example.com/good' } }
const FAILURE: Destination = { dialect: 'any', target: { kind: 'unreachable', name: 'queue' } }
const DESTINATIONS = { onSuccess: SUCCESS, onFailure: FAILURE }

const WORDS: DestinationWords = {
  bodyOf: ({ ending }) => ({ body: Buffer.from(ending), contentType: 'text/plain' }),
  settingsOf: () => ({ policy: { maxRetries: 0, maxAgeMs: 1000 } }),
}

const wordsOf = (body: DestinationWords['bodyOf']): ReadonlyMap<string, DestinationWords> =>
  new Map([['any', { ...WORDS, bodyOf: body }]])

function ended(
  ending: EndedTask['ending'],
  task: Parameters<typeof newTask>[0] = { destinations: DESTINATIONS },
): EndedTask {
  return {
    task: { ...newTask(task), sequence: 1, lease: '1', attempts: 0, deferrals: 0, lostRuns: 0 },
    ending,
    attempts: 1,
    endedAtMs: 1234,
  }
}

describe('what is told of an ending', () => {
  test('goes to the destination for success, in the words of the dialect that configured it', () => {
    const delivery = planDelivery(ended('succeeded'), new Map([['any', WORDS]]), () => 'id-1')
    expect(delivery).toEqual({
      deliveryId: 'id-1',
      account: '1234567890123456',
      namespace: 'default',
      functionName: 'resize',
      requestId: 'request-1',
      on: 'success',
      destination: SUCCESS,
      depth: 0,
      body: Buffer.from('succeeded'),
      contentType: 'text/plain',
      createdAtMs: 1234,
    })
  })

  test.each(['failed', 'expired'] as const)(
    'of a task that %s goes to the destination for failure',
    (how) => {
      expect(planDelivery(ended(how), new Map([['any', WORDS]]))).toMatchObject({
        on: 'failure',
        destination: FAILURE,
        body: Buffer.from(how),
      })
    },
  )

  test('is nothing where nobody asked to be told of this ending', () => {
    const words = new Map([['any', WORDS]])
    expect(planDelivery(ended('succeeded', {}), words)).toBeUndefined()
    expect(planDelivery(ended('succeeded', { destinations: { onFailure: FAILURE } }), words)).toBeUndefined()
    expect(planDelivery(ended('failed', { destinations: { onSuccess: SUCCESS } }), words)).toBeUndefined()
  })

  test('says how many deliveries led to it', () => {
    const task = { destinations: DESTINATIONS, depth: 7 }
    expect(planDelivery(ended('succeeded', task), new Map([['any', WORDS]]))?.depth).toBe(7)
  })

  test('has an id of its own each time', () => {
    const ids = [1, 2].map(() => planDelivery(ended('succeeded'), new Map([['any', WORDS]]))?.deliveryId)
    expect(new Set(ids).size).toBe(2)
  })
})

describe('what cannot be put into words', () => {
  test.each([
    ['dialect-unknown', new Map<string, DestinationWords>()],
    [
      'body-failed',
      wordsOf(() => {
        throw new Error('no words')
      }),
    ],
    [
      'body-too-large',
      wordsOf(() => ({ body: Buffer.alloc(DELIVERY_BYTES + 1), contentType: 'text/plain' })),
    ],
  ])('is planned all the same, with the reason: %s', (reason, words) => {
    const delivery = planDelivery(ended('succeeded'), words)
    expect(delivery).toMatchObject({ destination: SUCCESS, requestId: 'request-1' })
    expect(delivery && unsayableReason(delivery)).toBe(reason)
  })

  test('is not what has as many bytes as a delivery may', () => {
    const words = wordsOf(() => ({ body: Buffer.alloc(DELIVERY_BYTES), contentType: 'text/plain' }))
    const delivery = planDelivery(ended('succeeded'), words)
    expect(delivery && unsayableReason(delivery)).toBeUndefined()
    expect(delivery?.body.length).toBe(DELIVERY_BYTES)
  })
})
