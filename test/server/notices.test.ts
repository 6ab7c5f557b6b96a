import { expect, test } from 'vitest'
import { OperatorLog } from '../../src/observe/operator-log.ts'
import { tellDelivery, tellDestinations, tellRefused } from '../../src/server/notices.ts'
import { newDelivery, newTask } from '../contracts/store/task.ts'

/** What is written of what is told. */
function linesOf(tell: (log: OperatorLog) => void): string[] {
  const lines: string[] = []
  tell(new OperatorLog({ format: 'text', write: (line) => lines.push(line) }))
  return lines
}

const delivery = { ...newDelivery(), lease: '1.1', attempts: 0 }
const FIX = /--webhook-addresses any/

test('the operator is told how a webhook at an address that is not public is allowed', () => {
  const undeliverable = (reason: string): string[] =>
    linesOf((log) => tellDestinations(log, { kind: 'undeliverable', delivery, reason }))
  expect(undeliverable('webhook-address-refused')).toEqual([expect.stringMatching(FIX)])
  expect(undeliverable('webhook-status 404')).toEqual([expect.not.stringMatching(FIX)])
})

test('the same when it is configured', () => {
  const of = { account: delivery.account, namespace: 'shop', name: 'charge' }
  const refused = (reason: string): string[] =>
    linesOf((log) => tellRefused(log, of, [{ on: 'failure', destination: 'http://127.0.0.1:1', reason }]))
  expect(refused('webhook-address-refused')).toEqual([expect.stringMatching(FIX)])
  expect(refused('webhook-url-invalid')).toEqual([expect.not.stringMatching(FIX)])
})

test('what came too late for its lease is made again, and no other server is to blame', () => {
  const { payload: _payload, ...task } = newTask()
  const label = { ...task, sequence: 1, lease: '1.1', attempts: 0, deferrals: 0, lostRuns: 0 }
  const late = [
    ...linesOf((log) => tellDelivery(log, { kind: 'leaseLost', task: label })),
    ...linesOf((log) => tellDestinations(log, { kind: 'leaseLost', delivery })),
  ]
  expect(late).toEqual([
    expect.stringMatching(/lease .* ended.*runs again/),
    expect.stringMatching(/lease .* ended.*made again/),
  ])
  expect(late.join('')).not.toContain('server')
})
