/** What a run of a function comes to when nothing kills it. */
export type Kind =
  | 'succeeding'
  | 'failing'
  /** Throws at its first run, then succeeds. */
  | 'flaky'
  /** Kills its own process, each time. */
  | 'dying'
  /** Ends its own process at its first run, then succeeds. */
  | 'faltering'

/** A way to hand over an asynchronous call: three of Function Compute, and one of each other API. */
export type Door = 'fc-own-id' | 'fc' | 'fc-plain' | 'functiongraph' | 'scf'

/** Whom endings are told. */
export type Telling = 'function' | 'webhook'

export interface CrashFunction {
  readonly name: string
  readonly kind: Kind
  readonly runtime: 'nodejs20' | 'python3.10'
  readonly maxRetries: number
  /** How long a run takes, milliseconds; half-open. */
  readonly holdMs: readonly [least: number, bound: number]
  /** Whom the endings of its calls are told, where the call came through a door of the API that configures it. */
  readonly tells?: Telling
  /** The API that configures it. */
  readonly configuredBy: 'fc' | 'functiongraph'
  readonly doors: readonly Door[]
  /** Goes on when it is asked to end, and is asked so more often than others: its stops take as long as its runs. */
  readonly lingers?: true
  /** How often it is called, relative to the others. */
  readonly weight: number
}

export const NAMESPACE = 'crash'
/** Gets the endings that functions are told. */
export const TOLD = 'told'

const FC_DOORS = ['fc-own-id', 'fc', 'fc-plain'] as const
const FAST_DOORS = [...FC_DOORS, 'functiongraph'] as const
const SHORT: readonly [number, number] = [0, 50]
const LONG: readonly [number, number] = [200, 1500]

/** SCF waits a minute before each repeat: through it go calls that are not repeated, and in the long form some that are. */
export const crashFunctions = (isLong: boolean): readonly CrashFunction[] => {
  const doors: readonly Door[] = isLong ? [...FAST_DOORS, 'scf'] : FAST_DOORS
  const node = { runtime: 'nodejs20', configuredBy: 'fc' } as const
  return [
    {
      ...node,
      name: 'quick',
      kind: 'succeeding',
      maxRetries: 3,
      holdMs: SHORT,
      tells: 'function',
      doors,
      weight: 6,
    },
    {
      ...node,
      name: 'slow',
      kind: 'succeeding',
      maxRetries: 3,
      holdMs: LONG,
      tells: 'webhook',
      doors,
      weight: 6,
    },
    { ...node, name: 'once', kind: 'succeeding', maxRetries: 0, holdMs: SHORT, doors: ['scf'], weight: 3 },
    {
      ...node,
      name: 'lingering',
      kind: 'succeeding',
      maxRetries: 0,
      holdMs: LONG,
      doors: ['scf'],
      lingers: true,
      weight: 3,
    },
    {
      ...node,
      name: 'failing-once',
      kind: 'failing',
      maxRetries: 0,
      holdMs: SHORT,
      doors: ['scf'],
      weight: 1,
    },
    {
      ...node,
      name: 'failing',
      kind: 'failing',
      maxRetries: 1,
      holdMs: SHORT,
      tells: 'function',
      doors: FAST_DOORS,
      weight: 2,
    },
    {
      ...node,
      name: 'flaky',
      kind: 'flaky',
      maxRetries: 4,
      holdMs: SHORT,
      tells: 'webhook',
      doors: FAST_DOORS,
      weight: 2,
    },
    {
      ...node,
      name: 'dying',
      kind: 'dying',
      maxRetries: 1,
      holdMs: SHORT,
      tells: 'function',
      doors: FC_DOORS,
      weight: 1,
    },
    {
      ...node,
      name: 'faltering',
      kind: 'faltering',
      maxRetries: 4,
      holdMs: SHORT,
      doors: FAST_DOORS,
      weight: 1,
    },
    {
      ...node,
      name: 'py-quick',
      kind: 'succeeding',
      runtime: 'python3.10',
      maxRetries: 3,
      holdMs: SHORT,
      tells: 'webhook',
      doors,
      weight: 3,
    },
    {
      ...node,
      name: 'relaying',
      kind: 'succeeding',
      configuredBy: 'functiongraph',
      maxRetries: 3,
      holdMs: SHORT,
      tells: 'function',
      doors: ['functiongraph'],
      weight: 2,
    },
  ]
}

/** Whom the ending of a call of this function is told when it came through that door. */
export function tellingOf({ tells, configuredBy }: CrashFunction, door: Door): Telling | undefined {
  const isOwn = configuredBy === 'fc' ? door.startsWith('fc') : door === configuredBy
  return isOwn ? tells : undefined
}

/**
 * Asks the collector what to do, holds on while it is told to, and does it. Each message is sent after the answer to the one before:
 * whoever sends one was alive when that answer was given.
 */
const NODE_RUN = `
const http = require('node:http')
const { randomUUID } = require('node:crypto')

function tell(path, message) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', port: process.env.COLLECTOR, path, method: 'POST', agent: false },
      (response) => {
        let text = ''
        response.on('data', (chunk) => { text += chunk })
        response.on('end', () => resolve(JSON.parse(text)))
      },
    )
    request.on('error', reject)
    request.end(JSON.stringify(message))
  })
}

if (process.env.LINGERS) process.on('SIGTERM', () => {})

exports.handler = async (event, context) => {
  const { call } = JSON.parse(event)
  const run = randomUUID()
  const { order, steps } = await tell('/begin', {
    run,
    call,
    requestId: context.requestId,
    attempt: context.retryCount || 0,
    instance: process.pid + '@' + process.hrtime.bigint(),
  })
  for (let step = 0; step < steps; step += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    await tell('/step', { run })
  }
  await tell('/end', { run })
  if (order === 'die') process.kill(process.pid, 'SIGKILL')
  if (order === 'exit') process.exit(3)
  if (order === 'fail') throw new Error('as ordered')
  return 'ran ' + call
}
`

const PYTHON_RUN = `
import http.client
import json
import os
import time
import uuid


def tell(path, message):
    connection = http.client.HTTPConnection('127.0.0.1', int(os.environ['COLLECTOR']), timeout=30)
    try:
        connection.request('POST', path, json.dumps(message))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def handler(event, context):
    call = json.loads(event)['call']
    run = str(uuid.uuid4())
    answer = tell('/begin', {
        'run': run,
        'call': call,
        'requestId': context.request_id,
        'attempt': 0,
        'instance': '%d@%d' % (os.getpid(), time.monotonic_ns()),
    })
    for _ in range(answer['steps']):
        time.sleep(0.1)
        tell('/step', {'run': run})
    tell('/end', {'run': run})
    return 'ran ' + call
`

/** Hands on what it was told: by the id of the call whose ending it is, and by its own. */
const NODE_TOLD = `
const http = require('node:http')
exports.handler = (event, context) => new Promise((resolve, reject) => {
  const { requestContext, request_context } = JSON.parse(event)
  const { requestId, condition } = requestContext || {
    requestId: request_context.request_id,
    condition: request_context.condition,
  }
  const request = http.request(
    { host: '127.0.0.1', port: process.env.COLLECTOR, path: '/told', method: 'POST', agent: false },
    (response) => { response.resume(); response.on('end', () => resolve('told')) },
  )
  request.on('error', reject)
  request.end(JSON.stringify({ cause: requestId, condition, deliveredAs: context.requestId }))
})
`

/** The files of a function's code. */
export function sourceOf(name: string, runtime: CrashFunction['runtime']): Readonly<Record<string, string>> {
  if (name === TOLD) return { 'index.js': NODE_TOLD }
  return runtime === 'python3.10' ? { 'index.py': PYTHON_RUN } : { 'index.js': NODE_RUN }
}
