import { newId } from '../../definitions/ids.ts'
import { QUOTA as DEFINITIONS, requireQuota } from '../../definitions/quotas.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { documentKey } from '../../engine/keys.ts'
import { decodeBase64 } from '../../intake/base64.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import type { DocumentRecord, FunctionRecord, Stored } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import { required, stringField } from './fields.ts'
import { QUOTA } from './limits.ts'
import { unixSeconds } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { requireHead, urnOf } from './target.ts'

/** Source of both: the vendor's limits page. The second in bytes of the event, which comes as base64. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,24}$/
const MAX_EVENT_BYTES = 4096

const CODE = 'FSS.1074'
const PREFIX = 'event '

/** POST F/U/events @throws {FssError} `FSS.1074`; `FSS.1069`: too long; `FSS.1068`: too many; `FSS.1073`: the name is taken */
export const createEvent: Operation = async (call, { catalogue, now }) => {
  const name = required(stringField(call.body, 'name', { pattern: NAME, code: CODE }), 'name', CODE)
  const content = readContent(call.body)
  const record = await catalogue.change((draft) => {
    const nowMs = now()
    const head = requireHead(draft, call.accountId, urnOf(call)).value
    const others = eventsOf(draft, head)
    if (others.length >= QUOTA.events)
      throw new FssError('FSS.1068', `a function may have no more than ${QUOTA.events} test events`)
    if (others.some(({ value }) => value.content['name'] === name))
      throw new FssError('FSS.1073', `the test event '${name}' exists`)
    requireQuota(draft, 'document', `${head.account}/`, DEFINITIONS.documentsPerAccount, 'test events')
    const id = newId()
    return draft.put('document', keyOf(head, id), {
      account: head.account,
      owner: ownerOf(head),
      name: PREFIX + id,
      content: { id, name, content },
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return { status: 200, body: namedBody(record.value) }
}

/** GET F/U/events: all of them, oldest first. */
export const listEvents: Operation = (call, { catalogue }) => {
  const head = requireHead(catalogue, call.accountId, urnOf(call)).value
  const events = eventsOf(catalogue, head).map(({ value }) => ({
    ...namedBody(value),
    ...changedBody(value),
  }))
  return { status: 200, body: { events, count: events.length } }
}

/** GET F/U/events/{event_id} @throws {FssError} `FSS.1070` */
export const showEvent: Operation = (call, { catalogue }) => {
  const { value } = requireEvent(catalogue, call)
  return {
    status: 200,
    body: { ...namedBody(value), content: value.content['content'], ...changedBody(value) },
  }
}

/** PUT of the same path @throws {FssError} `FSS.1070`, `FSS.1074`, `FSS.1069` */
export const updateEvent: Operation = async (call, { catalogue, now }) => {
  const content = readContent(call.body)
  const record = await catalogue.change((draft) => {
    const { key, value } = requireEvent(draft, call)
    return draft.put('document', key, {
      ...value,
      content: { ...value.content, content },
      modifiedAtMs: now(),
    })
  })
  return { status: 200, body: namedBody(record.value) }
}

/** DELETE of the same path @throws {FssError} `FSS.1070` */
export const deleteEvent: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => draft.delete('document', requireEvent(draft, call).key))
  return { status: 204 }
}

/** Base64 of the event, kept as it was written. */
function readContent(body: JsonObject): string {
  const text = required(
    stringField(body, 'content', { min: 1, max: 1024 * 1024, code: CODE }),
    'content',
    CODE,
  )
  if (decoded(text).length > MAX_EVENT_BYTES)
    throw new FssError('FSS.1069', `the test event exceeds ${MAX_EVENT_BYTES} bytes`)
  return text
}

function decoded(text: string): Buffer {
  try {
    return decodeBase64(text)
  } catch (error) {
    if (!(error instanceof IntakeError)) throw error
    throw new FssError(CODE, 'invalid parameter content: it must be base64')
  }
}

function ownerOf({ namespace, name }: FunctionRecord): string {
  return `${namespace}/${name}`
}

function keyOf(head: FunctionRecord, id: string): string {
  return documentKey(head.account, ownerOf(head), DIALECT, PREFIX + id)
}

function eventsOf(definitions: Definitions, head: FunctionRecord): readonly Stored<'document'>[] {
  return definitions
    .list('document', keyOf(head, ''))
    .toSorted((a, b) => a.value.createdAtMs - b.value.createdAtMs)
}

function requireEvent(definitions: Definitions, call: Call): Stored<'document'> {
  const head = requireHead(definitions, call.accountId, urnOf(call)).value
  const id = call.params['event_id'] ?? ''
  const found = eventsOf(definitions, head).find(({ value }) => value.content['id'] === id)
  if (found === undefined) throw new FssError('FSS.1070', `not found the test event '${id.slice(0, 64)}'`)
  return found
}

function namedBody({ content }: DocumentRecord): JsonObject {
  return { id: content['id'], name: content['name'] }
}

function changedBody({ modifiedAtMs }: DocumentRecord): JsonObject {
  return { last_modified: unixSeconds(modifiedAtMs) }
}
