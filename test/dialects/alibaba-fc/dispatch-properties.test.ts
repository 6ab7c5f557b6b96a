import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { findFunction } from '../../../src/definitions/find-function.ts'
import { publishFunction } from '../../../src/definitions/publish.ts'
import { aliasKey } from '../../../src/engine/keys.ts'
import { anyRequest } from './arbitrary-requests.ts'
import { ACCOUNT, functionBody, openHarness } from './harness.ts'
import { putTheirs } from './theirs.ts'

test(
  'the dialect never answers with its own failure, whatever a request holds',
  { timeout: 120_000 },
  async () => {
    const server = await openHarness()
    const base = '/2016-08-15/services'
    await server.send({ method: 'POST', path: base, body: { serviceName: 'demo' } })
    await server.send({ method: 'POST', path: `${base}/demo/functions`, body: await functionBody('hello') })
    await server.send({ method: 'POST', path: `${base}/demo/versions`, body: {} })
    await putTheirs(server.catalogue, 'demo')
    await server.catalogue.change((draft) => {
      const theirs = findFunction(draft, ACCOUNT, 'demo', 'theirs')
      publishFunction(draft, theirs, { name: 'v1', description: '', nowMs: 1 })
      draft.put('alias', aliasKey(ACCOUNT, 'demo', '$DEFAULT', 'theirs'), {
        account: ACCOUNT,
        namespace: 'demo',
        functionName: 'theirs',
        name: '$DEFAULT',
        version: 'v1',
        weights: {},
        description: '',
        extras: {},
        createdAtMs: 1,
        modifiedAtMs: 1,
      })
    })
    try {
      await fc.assert(
        fc.asyncProperty(anyRequest, async (request) => {
          const { status, headers, json } = await server.send(request)
          expect(status).toBeLessThan(500)
          expect(headers['X-Fc-Request-Id']).toBeTruthy()
          expect(status < 400 || typeof json['Code'] === 'string').toBe(true)
          expect(server.observed).toEqual([])
        }),
        { numRuns: 2000 },
      )
    } finally {
      await server.close()
    }
  },
)
