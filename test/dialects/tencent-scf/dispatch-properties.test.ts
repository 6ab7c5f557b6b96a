import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RecordKind } from '../../../src/store/definition-store.ts'
import { anyRequest } from './arbitrary-requests.ts'
import {
  functionParams,
  openHarness,
  zipOf,
  type Harness,
  type RawRequest,
  type TestReply,
} from './harness.ts'

const KINDS: readonly RecordKind[] = [
  ...(['namespace', 'function', 'version', 'alias', 'asyncConfig', 'scaling'] as const),
  ...(['provision', 'tags', 'trigger', 'layer', 'document'] as const),
]

/** Which records there are, in which state. */
function definitionsOf({ catalogue }: Harness): string {
  return KINDS.flatMap((kind) =>
    catalogue.list(kind, '').map(({ key, revision }) => `${kind} ${key} ${revision}`),
  ).join('\n')
}

/** What is wrong with an answer, if anything. */
function envelopeFault({ path }: RawRequest, { json, response, code }: TestReply): string | undefined {
  if (path?.startsWith('/v2/index.php') === true) {
    const isWhole = [typeof json['code'], typeof json['message'], typeof json['codeDesc']].join(' ')
    if (isWhole !== 'number string string') return `no legacy envelope: ${JSON.stringify(json)}`
    return code === 6000 ? 'an internal error' : undefined
  }
  if (typeof response['RequestId'] !== 'string') return `no envelope: ${JSON.stringify(json)}`
  return String(code).startsWith('InternalError') ? 'an internal error' : undefined
}

test(
  'every request is answered in an envelope, none with a failure of the server, and one that is refused changes nothing',
  { timeout: 120_000 },
  async () => {
    const server = await openHarness()
    const FunctionName = 'hello'
    await server.call('CreateNamespace', { Namespace: 'ns' })
    await server.call('CreateFunction', await functionParams(FunctionName))
    await server.call('PublishVersion', { FunctionName })
    await server.call('CreateAlias', { FunctionName, Name: 'prod', FunctionVersion: '1' })
    const Content = { ZipFile: await zipOf() }
    await server.call('PublishLayerVersion', {
      LayerName: 'layer',
      CompatibleRuntimes: ['Nodejs18.15'],
      Content,
    })
    const codes = new Set<unknown>()
    try {
      await fc.assert(
        fc.asyncProperty(anyRequest, async (request) => {
          const before = definitionsOf(server)
          const reply = await server.send(request)
          codes.add(reply.code)
          expect(reply.status).toBe(200)
          expect(reply.headers['Content-Type']).toBe('application/json')
          expect(envelopeFault(request, reply)).toBeUndefined()
          expect(reply.code === undefined || definitionsOf(server) === before).toBe(true)
          expect(server.observed).toEqual([])
        }),
        { numRuns: 3000 },
      )
    } finally {
      await server.close()
    }
    // The requests get beyond the first checks: some succeed, others are refused for many reasons.
    expect(codes.has(undefined)).toBe(true)
    expect(codes.size).toBeGreaterThan(20)
  },
)
