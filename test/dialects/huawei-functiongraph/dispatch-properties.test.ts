import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { namespaceKey, functionKey } from '../../../src/engine/keys.ts'
import { anyRequest, givenIds } from './arbitrary-requests.ts'
import { ACCOUNT, F, functionBody, openHarness, urnOf, type Harness, type TestReply } from './harness.ts'
import { KEY_ID, SECRET } from './signing.ts'

test(
  'the dialect never answers with its own failure, whatever a request holds',
  { timeout: 180_000 },
  async () => {
    const server = await openHarness()
    try {
      const token = await prepare(server)
      const statuses = new Map<number, number>()
      await fc.assert(
        fc.asyncProperty(anyRequest(token), async (request) => {
          await ensureHello(server)
          const reply = await server.send(request)
          expect(reply.status).toBeLessThan(500)
          expect(server.observed).toEqual([])
          expect(reply.headers['X-Request-Id']).toMatch(/^[0-9a-f]{32}$/)
          expect(reply.status < 400 || isFailure(reply)).toBe(true)
          // The official client cannot read a bare null.
          expect(request.path.includes('/invocations') || reply.text !== 'null').toBe(true)
          statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1)
          keepIds(reply)
        }),
        { numRuns: 3000 },
      )
      // Nothing half-written: everything can be listed, and the records agree with each other.
      const listed = await server.send({ method: 'GET', path: F, token })
      expect(listed.status).toBe(200)
      for (const { key, value } of server.catalogue.list('function', '')) {
        expect(key).toBe(functionKey(value.account, value.namespace, value.name, value.version))
        expect(server.catalogue.get('namespace', namespaceKey(value.account, value.namespace))).toBeDefined()
      }
      // The requests reached every depth.
      expect([...statuses.keys()]).toEqual(
        expect.arrayContaining([200, 201, 202, 204, 400, 401, 403, 404, 409]),
      )
    } finally {
      await server.close()
    }
  },
)

async function prepare(server: Harness): Promise<string> {
  const identity = {
    methods: ['hw_ak_sk'],
    hw_ak_sk: { access: { key: KEY_ID }, secret: { key: SECRET } },
  }
  const { headers } = await server.send({
    method: 'POST',
    path: '/v3/auth/tokens',
    body: { auth: { identity } },
    unsigned: true,
  })
  await ensureHello(server)
  await makeForeign(server)
  return headers['X-Subject-Token'] ?? ''
}

/** The function that requests name is there, whatever the one before did. */
async function ensureHello(server: Harness): Promise<void> {
  if (server.catalogue.get('function', functionKey(ACCOUNT, 'default', 'hello')) !== undefined) return
  const create = async (path: string, body: object): Promise<void> => {
    const { status, text } = await server.send({ method: 'POST', path, body })
    if (status !== 200) throw new Error(text)
  }
  await create(F, functionBody('hello'))
  await create(`${F}/${urnOf('hello')}/versions`, { version: 'v1' })
  await create(`${F}/${urnOf('hello')}/aliases`, { name: 'prod', version: 'v1' })
}

/** A function as another API makes it: without anything of this one. */
function makeForeign({ catalogue }: Harness): Promise<unknown> {
  return catalogue.change((draft) => {
    const stamps = { createdAtMs: 0, modifiedAtMs: 0 }
    draft.put('namespace', namespaceKey(ACCOUNT, 'demo'), {
      ...{ account: ACCOUNT, name: 'demo', namespaceId: 'n', description: '', facts: {}, lastVersion: 0 },
      ...{ extras: { 'alibaba-fc': { internetAccess: true } }, ...stamps },
    })
    const hello = draft.get('function', functionKey(ACCOUNT, 'default', 'hello'))?.value
    if (hello === undefined) throw new Error('there is no function to copy')
    draft.put('function', functionKey(ACCOUNT, 'demo', 'theirs'), {
      ...hello,
      ...{ namespace: 'demo', name: 'theirs', functionId: 'f', stateId: 's', facts: {}, extras: {} },
      spec: { ...hello.spec, contract: 'alibaba-fc', runtime: 'nodejs20' },
    })
  })
}

function isFailure({ json }: TestReply): boolean {
  const own = typeof json['error_code'] === 'string' && typeof json['error_msg'] === 'string'
  return own || typeof json['error'] === 'object'
}

/** Remembers ids that answers hold, for later requests to name. */
function keepIds({ json, text }: TestReply): void {
  for (const name of ['trigger_id', 'dep_id', 'id', 'request_id']) {
    const id = json[name]
    if (typeof id === 'string' && givenIds.length < 500) givenIds.push(encodeURIComponent(id))
  }
  const [, listed] = /"(?:trigger_id|dep_id|id)":"([\w-]+)"/.exec(text) ?? []
  if (listed !== undefined && givenIds.length < 500) givenIds.push(listed)
}
