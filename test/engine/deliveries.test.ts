import fc from 'fast-check'
import { readSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { Call } from '../../src/engine/call.ts'
import { Deliveries } from '../../src/engine/deliveries.ts'
import { TicketBook } from '../../src/engine/ticket-book.ts'
import { makeTicketFile } from '../../src/engine/ticket-file.ts'
import { EMPTY_PAYLOAD } from '../../src/model/payload.ts'
import { plainContract, TestCaller } from '../helpers/engine-rig.ts'
import { aVersion } from '../helpers/versions.ts'

const version = aVersion()
const aBook = (): TicketBook => new TicketBook(makeTicketFile(tmpdir()))
const aCall = (requestId: string): Call =>
  new Call(
    {
      version,
      request: { target: version, requestId, payload: EMPTY_PAYLOAD, retryCount: 0 },
      caller: new TestCaller(),
      contract: plainContract,
      enteredAtMs: 0,
      logs: { keep: () => undefined, ended: () => undefined },
    },
    () => undefined,
    () => undefined,
  )

/** The other side, as `runtimes/protocol.md` has it: one inbox, a ticket before each start, one kept from a dropped call. */
class Bootstrap {
  readonly inbox: { call: Call; epoch: number }[] = []
  readonly begun: Call[] = []
  readonly #fd: number
  #kept = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Takes the calls at the head until one starts. */
  step(): void {
    for (let head = this.inbox.shift(); head !== undefined; head = this.inbox.shift()) {
      const ticket = Buffer.alloc(1)
      if (this.#kept === 0 && readSync(this.#fd, ticket, 0, 1, null) === 1) this.#kept = ticket[0] ?? 0
      if (this.#kept !== head.epoch) continue
      this.#kept = 0
      this.begun.push(head.call)
      return
    }
  }
}

type Move = 'deliver' | 'step' | 'answer' | 'takeBack'
const moves = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Move>('deliver') },
    { weight: 3, arbitrary: fc.constant<Move>('step') },
    { weight: 2, arbitrary: fc.constant<Move>('answer') },
    { weight: 1, arbitrary: fc.constant<Move>('takeBack') },
  ),
  { maxLength: 400 },
)

/** Plays the moves and holds the two sides to each other after each. */
function play(list: readonly Move[], concurrency: number): void {
  const book = aBook()
  const deliveries = new Deliveries(book, concurrency)
  const bootstrap = new Bootstrap(book.fd)
  const answered = new Set<Call>()
  const back = new Set<Call>()
  const delivered: Call[] = []
  const running = (): Call[] => bootstrap.begun.filter((call) => !answered.has(call))
  try {
    for (const move of list) {
      if (move === 'deliver') {
        const call = aCall(`${delivered.length}`)
        delivered.push(call)
        deliveries.add(call, 1)
        bootstrap.inbox.push({ call, epoch: call.epoch })
      } else if (move === 'step') {
        if (running().length < concurrency) bootstrap.step()
      } else if (move === 'answer') {
        const [call] = running()
        if (call !== undefined && deliveries.remove(call.callId, 1) === call) answered.add(call)
      } else {
        for (const call of deliveries.takeBack()) back.add(call)
      }
    }
    const { begun, notBegun } = deliveries.close()
    for (const call of notBegun) back.add(call)
    // Whoever was said not to have begun has not, then or later.
    for (const call of back) expect(bootstrap.begun).not.toContain(call)
    for (const call of running()) expect(begun).toContain(call)
    // Nothing is lost, and nothing is there twice.
    expect(answered.size + back.size + begun.length).toBe(delivered.length)
  } finally {
    deliveries.close()
  }
}

test('what is taken back has not begun and never does; all the rest stays, in every epoch', () => {
  fc.assert(fc.property(moves, fc.integer({ min: 1, max: 4 }), play), { numRuns: 200 })
})

test('a call that outlives all epochs is still known to have begun', () => {
  const round: Move[] = ['deliver', 'takeBack']
  // The first call begins and is never answered; after it 255 epochs come and go.
  play(
    [
      'deliver',
      'step',
      'takeBack',
      ...Array.from({ length: 254 }, () => round).flat(),
      'deliver',
      'takeBack',
    ],
    2,
  )
})

test('an epoch ends by itself before its tickets fill the memory they are kept in', () => {
  const book = aBook()
  const deliveries = new Deliveries(book, 1)
  const ticket = Buffer.alloc(1)
  let calls = 0
  while (!deliveries.epochIsLong) {
    const call = aCall('x')
    deliveries.add(call, 1)
    readSync(book.fd, ticket, 0, 1, null)
    deliveries.remove(call.callId, 1)
    calls += 1
  }
  expect(calls).toBe(65_536)
  const [kept, unbegun] = [aCall('kept'), aCall('unbegun')]
  deliveries.add(kept, 1)
  readSync(book.fd, ticket, 0, 1, null)
  deliveries.add(unbegun, 1)
  expect(deliveries.takeBack()).toEqual([unbegun])
  expect(deliveries.epochIsLong).toBe(false)
  expect(deliveries.close().begun).toEqual([kept])
})

test('only a look tells how many tickets were taken', () => {
  const book = aBook()
  const deliveries = new Deliveries(book, 1)
  deliveries.add(aCall('a'), 1)
  expect(deliveries.takeBack().length).toBe(1)
  expect(deliveries.ticketsTaken()).toBe(0)
  readSync(book.fd, Buffer.alloc(1), 0, 1, null)
  expect(deliveries.ticketsTaken()).toBe(1)
  expect(deliveries.ticketsTaken()).toBe(1)
  deliveries.close()
})
