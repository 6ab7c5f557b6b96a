import { zipOf } from '../helpers/zip.ts'
import type { Answer, Connection } from './connection.ts'
import { NAMESPACE, sourceOf, TOLD, type CrashFunction } from './functions.ts'
import type { CallRecord, Ending, Sight } from './ledger.ts'
import { signFc, signFunctionGraph, signScf, type Key, type Unsigned } from './signing.ts'

const PROJECT = '0123456789abcdef0123456789abcdef'
const FC_FUNCTIONS = `/2016-08-15/services/${NAMESPACE}/functions`
const FG_FUNCTIONS = `/v2/${PROJECT}/fgs/functions`

/** What a submission was answered with. `taken`: its own id is another call's. */
export type Taken =
  | { readonly kind: 'accepted'; readonly requestId: string }
  | { readonly kind: 'refused' | 'taken' | 'unexpected'; readonly words: string }

/** What a stop was answered with; see {@link CallRecord.stop}. */
export type Stopped = 'stopped' | 'over' | { readonly unexpected: string }

type Json = Readonly<Record<string, unknown>>

/** An answer that nobody has to make sense of. */
class Unexpected extends Error {}

/** What the harness needs of the three vendors' APIs, spoken as their clients do. Every method may throw `NoAnswer`. */
export class Apis {
  readonly #connection: Connection
  readonly #key: Key
  readonly #account: string

  constructor(connection: Connection, key: Key, account: string) {
    this.#connection = connection
    this.#key = key
    this.#account = account
  }

  async deploy(functions: readonly CrashFunction[], collectorPort: number): Promise<void> {
    await this.#fcJson('POST', '/2016-08-15/services', { serviceName: NAMESPACE })
    const environment = { COLLECTOR: String(collectorPort) }
    await this.#create(TOLD, 'nodejs20', environment)
    for (const target of functions) {
      const { name, runtime, lingers = false } = target
      await this.#create(name, runtime, lingers ? { ...environment, LINGERS: 'yes' } : environment)
      if (target.configuredBy === 'fc') await this.#configure(target, collectorPort)
      else await this.#configureFunctionGraph(target)
    }
  }

  /** Hands over a call. */
  async submit({ plan }: CallRecord): Promise<Taken> {
    const { door, name, target } = plan
    const event = JSON.stringify({ call: name })
    switch (door) {
      case 'functiongraph': {
        const answer = await this.#functionGraph('POST', `${urnOf(target)}/invocations-async`, event)
        return takenOf(answer, 202, () => textIn(jsonOf(answer), 'request_id'))
      }
      case 'scf': {
        const request = { ...scfName(target), InvocationType: 'Event', ClientContext: event }
        const answer = await this.#scf('Invoke', request)
        const response = scfResponse(answer)
        const error = response['Error'] as Json | undefined
        if (error !== undefined) return refusalOf(textIn(error, 'Code'), answer)
        return { kind: 'accepted', requestId: textIn(response['Result'] as Json, 'FunctionRequestId') }
      }
      case 'fc-own-id':
      case 'fc':
      case 'fc-plain': {
        const headers = {
          'x-fc-invocation-type': 'Async',
          'x-fc-stateful-async-invocation-enable': String(door !== 'fc-plain'),
          ...(door === 'fc-own-id' ? { 'x-fc-stateful-async-invocation-id': ownIdOf(plan.name) } : {}),
        }
        const path = `${FC_FUNCTIONS}/${target.name}/invocations`
        const answer = await this.#fc({ method: 'POST', path, headers, body: event })
        return takenOf(answer, 202, () => String(answer.headers['x-fc-request-id']))
      }
    }
  }

  /** How a call looks through the API that it came through; undefined when that does not know it. */
  async look(call: CallRecord): Promise<Sight | undefined> {
    const { plan, requestId = '' } = call
    switch (plan.door) {
      case 'functiongraph': {
        const path = `${urnOf(plan.target)}/async-invocations`
        const answer = await this.#functionGraph('GET', path, '', { request_id: requestId })
        const [record] = expected(answer, 200)['invocations'] as Json[]
        if (record === undefined) return undefined
        const { status, error_code: code, end_time: endTime } = record
        return sightOf(FG_ENDINGS[status === 'DISCARD' && code !== 4208 ? 'AGED' : String(status)], [
          status,
          code,
          endTime,
        ])
      }
      case 'fc-own-id':
      case 'fc': {
        const task = await this.task(call)
        return (
          task &&
          sightOf(FC_ENDINGS[String(task['status'])], [task['status'], task['endTime'], task['requestId']])
        )
      }
      case 'fc-plain':
      case 'scf': {
        const response = scfResponse(await this.#scf('GetAsyncEventStatus', { InvokeRequestId: requestId }))
        if ('Error' in response) {
          if (textIn(response['Error'] as Json, 'Code').startsWith('ResourceNotFound')) return undefined
          throw new Unexpected(JSON.stringify(response))
        }
        const { Status: status, StatusCode: code } = response['Result'] as Json
        return sightOf(SCF_ENDINGS[String(status)], [status, code])
      }
    }
  }

  /** A task of Function Compute, by its own id; undefined when there is none. */
  async task({ plan, requestId }: CallRecord): Promise<Json | undefined> {
    const id = plan.door === 'fc-own-id' ? ownIdOf(plan.name) : requestId
    const path = `${FC_FUNCTIONS}/${plan.target.name}/stateful-async-invocations/${id}`
    const answer = await this.#fc({ method: 'GET', path })
    return answer.status === 404 ? undefined : expected(answer, 200)
  }

  /** Asks for the end of a call. */
  async stop({ plan, requestId = '' }: CallRecord): Promise<Stopped> {
    switch (plan.door) {
      case 'functiongraph': {
        const body = JSON.stringify({ request_id: requestId, type: 'force' })
        const answer = await this.#functionGraph('POST', `${urnOf(plan.target)}/cancel`, body)
        return answer.status === 200 ? 'over' : { unexpected: wordsOf(answer) }
      }
      case 'fc-own-id':
      case 'fc': {
        const id = plan.door === 'fc-own-id' ? ownIdOf(plan.name) : requestId
        const path = `${FC_FUNCTIONS}/${plan.target.name}/stateful-async-invocations/${id}`
        const answer = await this.#fc({ method: 'PUT', path })
        if (answer.status === 200) return 'stopped'
        return answer.text.includes('has ended') ? 'over' : { unexpected: wordsOf(answer) }
      }
      case 'fc-plain':
      case 'scf': {
        const isGraceful = plan.target.lingers === true
        const request = { ...scfName(plan.target), InvokeRequestId: requestId, GraceShutdown: isGraceful }
        const answer = await this.#scf('TerminateAsyncEvent', request)
        const error = scfResponse(answer)['Error'] as Json | undefined
        // With a grace, what the run came to by itself counts.
        if (error === undefined) return isGraceful ? 'over' : 'stopped'
        return error['Code'] === 'FailedOperation.AsyncEventStatus' ? 'over' : { unexpected: wordsOf(answer) }
      }
    }
  }

  /** How many calls of a function have not ended, through whichever API they came. */
  async open(name: string): Promise<number> {
    const request = { Namespace: NAMESPACE, FunctionName: name, Limit: 1, Status: ['RUNNING'] }
    const response = scfResponse(await this.#scf('ListAsyncEvents', request))
    const { TotalCount: total } = response
    if (typeof total !== 'number') throw new Unexpected(JSON.stringify(response))
    return total
  }

  async #create(
    functionName: string,
    runtime: CrashFunction['runtime'],
    environmentVariables: Readonly<Record<string, string>>,
  ): Promise<void> {
    const zip = await zipOf(sourceOf(functionName, runtime))
    await this.#fcJson('POST', FC_FUNCTIONS, {
      functionName,
      runtime,
      handler: 'index.handler',
      memorySize: 128,
      timeout: 30,
      environmentVariables,
      code: { zipFile: zip.toString('base64') },
    })
  }

  async #configure({ name, maxRetries, tells }: CrashFunction, collectorPort: number): Promise<void> {
    const destination =
      tells === 'webhook'
        ? `http://127.0.0.1:${collectorPort}/webhook`
        : `acs:fc:local:${this.#account}:services/${NAMESPACE}/functions/${TOLD}`
    const told = { onSuccess: { destination }, onFailure: { destination } }
    await this.#fcJson('PUT', `${FC_FUNCTIONS}/${name}/async-invoke-config`, {
      maxAsyncRetryAttempts: maxRetries,
      statefulInvocation: true,
      ...(tells === undefined ? {} : { destinationConfig: told }),
    })
  }

  async #configureFunctionGraph(target: CrashFunction): Promise<void> {
    const param = JSON.stringify({ func_urn: urnOf({ name: TOLD }) })
    const destination = { destination: 'FunctionGraph', param }
    const body = JSON.stringify({
      max_async_retry_attempts: target.maxRetries,
      destination_config: { on_success: destination, on_failure: destination },
    })
    expected(await this.#functionGraph('PUT', `${urnOf(target)}/async-invoke-config`, body), 200)
  }

  async #fcJson(method: 'POST' | 'PUT', path: string, body: object): Promise<void> {
    expected(await this.#fc({ method, path, body: JSON.stringify(body) }), 200)
  }

  #fc(unsigned: Unsigned): Promise<Answer> {
    return this.#connection.send(unsigned, signFc(this.#key, unsigned))
  }

  #functionGraph(
    method: Unsigned['method'],
    place: string,
    body: string,
    query: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const unsigned = { method, path: `${FG_FUNCTIONS}/${place}`, body, query }
    return this.#connection.send(unsigned, signFunctionGraph(this.#key, unsigned))
  }

  #scf(action: string, request: object): Promise<Answer> {
    const body = JSON.stringify(request)
    const headers = signScf(this.#key, this.#connection.host, action, body)
    return this.#connection.send({ method: 'POST', path: '/', body }, headers)
  }
}

/** Ids of callers begin with a letter, as the vendor wants them. */
function ownIdOf(name: string): string {
  return `own-${name}`
}

/** Endings in the words of each API; everything else goes on. */
const FC_ENDINGS: Readonly<Record<string, Ending>> = {
  Succeeded: 'succeeded',
  Failed: 'failed',
  Invalid: 'failed',
  Expired: 'expired',
  Stopped: 'cancelled',
}
const FG_ENDINGS: Readonly<Record<string, Ending>> = {
  SUCCESS: 'succeeded',
  FAIL: 'failed',
  AGED: 'expired',
  DISCARD: 'cancelled',
}
const SCF_ENDINGS: Readonly<Record<string, Ending>> = {
  FINISHED: 'succeeded',
  FAILED: 'failed',
  ABORTED: 'cancelled',
}

function sightOf(ending: Ending | undefined, parts: readonly unknown[]): Sight {
  const words = parts.map(String).join(' ')
  return ending === undefined ? { words } : { ending, words }
}

function urnOf({ name }: { readonly name: string }): string {
  return `urn:fss:local:${PROJECT}:function:${NAMESPACE}:${name}:latest`
}

function scfName({ name }: CrashFunction): object {
  return { Namespace: NAMESPACE, FunctionName: name }
}

function scfResponse(answer: Answer): Json {
  return expected(answer, 200)['Response'] as Json
}

function takenOf(answer: Answer, status: number, requestId: () => string): Taken {
  if (answer.status === status) return { kind: 'accepted', requestId: requestId() }
  const words = wordsOf(answer)
  if (answer.text.includes('StatefulAsyncInvocationAlreadyExists')) return { kind: 'taken', words }
  return { kind: answer.status === 429 || answer.status === 503 ? 'refused' : 'unexpected', words }
}

function refusalOf(code: string, answer: Answer): Taken {
  const isRefused = /^(?:ServiceUnavailable|RequestLimitExceeded|ResourceInsufficient)/.test(code)
  return { kind: isRefused ? 'refused' : 'unexpected', words: wordsOf(answer) }
}

function wordsOf({ status, text }: Answer): string {
  return `${status} ${text.slice(0, 300)}`
}

function jsonOf({ text }: Answer): Json {
  return JSON.parse(text) as Json
}

function expected(answer: Answer, status: number): Json {
  if (answer.status !== status) throw new Unexpected(wordsOf(answer))
  return jsonOf(answer)
}

function textIn(json: Json | undefined, member: string): string {
  const value = json?.[member]
  if (typeof value !== 'string') throw new Unexpected(`no ${member} in ${JSON.stringify(json)}`)
  return value
}
