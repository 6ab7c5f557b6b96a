import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyRequest } from './arbitrary-requests.ts'
import { functionBody, openHarness } from './harness.ts'

test(
  'the dialect never answers with its own failure, whatever a request holds',
  { timeout: 120_000 },
  async () => {
    const server = await openHarness()
    const base = '/2016-08-15/services'
    await server.send({ method: 'POST', path: base, body: { serviceName: 'demo' } })
    await server.send({ method: 'POST', path: `${base}/demo/functions`, body: await functionBody('hello') })
    await server.send({ method: 'POST', path: `${base}/demo/versions`, body: {} })
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
