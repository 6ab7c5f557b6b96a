import { decodeBase64InPlace } from '../../intake/base64.ts'
import { parseJsonObject, readJsonBody } from '../../intake/json-body.ts'
import type { Turns } from '../../intake/slices.ts'
import { toBuffer, type Payload } from '../../model/payload.ts'
import { ScfError } from './errors.ts'
import { readForm, textOf, type Parameter } from './form.ts'
import { mediaTypeOf, readMultipart, type Part } from './multipart.ts'
import type { Api, Call, JsonObject } from './operation.ts'
import type { ActionDefinition } from './operations.ts'
import { requireShallow, unflatten } from './unflatten.ts'

/** Where an archive may be in a request. */
const CODE_MEMBERS = ['ZipFile', 'Code.ZipFile', 'Content.ZipFile', 'code']

/** Parameters of the request itself, which travel beside the action's own in queries and forms. */
const COMMON_PARAMETERS = new Set([
  'Action',
  'Region',
  'Timestamp',
  'Nonce',
  'SecretId',
  'Signature',
  'SignatureMethod',
  'Token',
  'Version',
  'Language',
  'RequestClient',
  'RequestSource',
])

/** What a body or a query holds, by the means it was written with. */
type Content = Pick<Call, 'params' | 'takeZipFile'>

/** What contents are read with. */
export interface ContentRooms {
  /** Where bodies too large to be parsed whole wait for each other. */
  readonly largeBodies: Turns
}

/** The parameters of a body whose request has been found to be genuine; a promise where reading them may take turns. */
export function readContent(
  payload: Payload,
  contentType: string,
  definition: ActionDefinition | undefined,
  rooms: ContentRooms,
): Content | Promise<Content> {
  switch (mediaTypeOf(contentType)) {
    case 'multipart/form-data':
      return partsContent(readMultipart(contentType, toBuffer(payload)), definition, rooms)
    case 'application/x-www-form-urlencoded':
      return contentOf('3.0', readForm(textOf(toBuffer(payload))), definition, rooms)
    default:
      if (definition?.takesEvent === true) return { params: parseJsonObject(toBuffer(payload)) }
  }
  return readJson(payload, definition?.takesCode === true ? CODE_MEMBERS : [], rooms)
}

async function readJson(
  payload: Payload,
  codeMembers: readonly string[],
  rooms: ContentRooms,
): Promise<Content> {
  const { body, takeCut } = await readJsonBody(payload, rooms.largeBodies, codeMembers)
  requireShallow(body)
  return takeCut === undefined ? { params: body } : { params: body, takeZipFile: takeCut }
}

/** The parameters of a form or a query, the common ones left out. */
export function contentOf(
  api: Api,
  parameters: readonly Parameter[],
  definition: ActionDefinition | undefined,
  { largeBodies }: ContentRooms,
): Content {
  let archive: Buffer | undefined
  const own: Parameter[] = []
  for (const parameter of parameters) {
    const { key, large } = parameter
    if (COMMON_PARAMETERS.has(key)) continue
    if (large === undefined) own.push(parameter)
    else if (definition?.takesEvent === true) own.push({ key, value: textOf(large) })
    else if (definition?.takesCode === true && CODE_MEMBERS.includes(key) && archive === undefined) {
      // The legacy clients mark uploaded code by this character.
      archive = api === '2.0' && large[0] === 0x40 ? large.subarray(1) : large
      own.push({ key, value: '' })
    } else throw new ScfError('RequestSizeLimitExceeded', 'a parameter of the request is too long')
  }
  const params = unflatten(own)
  const code = archive
  return code === undefined
    ? { params }
    : { params, takeZipFile: () => largeBodies.run(() => decodeBase64InPlace([code])) }
}

function partsContent(
  parts: readonly Part[],
  definition: ActionDefinition | undefined,
  { largeBodies }: ContentRooms,
): Content {
  let takeZipFile: Content['takeZipFile']
  const entries: { readonly key: string; readonly value: unknown }[] = []
  for (const { name, content, contentType, isFile } of parts) {
    if (definition?.takesCode === true && CODE_MEMBERS.includes(name) && takeZipFile === undefined) {
      // A file is the archive itself, a text its base64. Only an archive begins like one.
      const isArchive = (isFile || contentType === 'application/octet-stream') && content[0] === 0x50
      takeZipFile =
        isArchive && content[1] === 0x4b
          ? () => Promise.resolve([content])
          : () => largeBodies.run(() => decodeBase64InPlace([content]))
      entries.push({ key: name, value: '' })
    } else if (contentType === 'application/json') {
      const value = jsonPart(content)
      requireShallow(value)
      entries.push({ key: name, value })
    } else entries.push({ key: name, value: textOf(content) })
  }
  const params = unflatten(entries)
  return takeZipFile === undefined ? { params } : { params, takeZipFile }
}

function jsonPart(content: Buffer): unknown {
  try {
    return JSON.parse(textOf(content))
  } catch {
    throw new ScfError('InvalidRequest', 'a part of the multipart body is not valid JSON')
  }
}

/** The parameters of a query, the common ones left out. */
export function queryContent(parameters: readonly Parameter[]): JsonObject {
  return unflatten(parameters.filter(({ key }) => !COMMON_PARAMETERS.has(key)))
}
