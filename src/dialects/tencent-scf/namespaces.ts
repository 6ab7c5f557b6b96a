import { ensureNamespace, namespaceContents } from '../../definitions/namespaces.ts'
import { removeNamespace } from '../../definitions/remove.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { namespaceKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import type { NamespaceRecord, Stored } from '../../store/definition-store.ts'
import { ScfError } from './errors.ts'
import { invalidValue, objectListField, textField } from './fields.ts'
import { DEFAULT_NAMESPACE, type JsonObject, type Operation } from './operation.ts'
import { inOrder, onPage, orderOf, pageOf } from './paging.ts'
import { withQuotaCode } from './quota-codes.ts'
import { requiredNamespaceOf } from './targets.ts'
import { formatTime } from './times.ts'

/** Source: the vendor's CreateNamespace page. */
const MAX_DESCRIPTION_CHARS = 1000
const MAX_SEARCH_KEYS = 10

/** What lists show of a namespace. */
type Shown = Pick<NamespaceRecord, 'name' | 'description' | 'createdAtMs' | 'modifiedAtMs'>

/** @throws {ScfError} `ResourceInUse.Namespace`, `InvalidParameterValue.DefaultNamespace`, `LimitExceeded.Namespace` */
export const createNamespace: Operation = async (call, { catalogue, now }) => {
  const name = requiredNamespaceOf(call.params, { isNew: true })
  const description = readDescription(call.params) ?? ''
  if (name === DEFAULT_NAMESPACE)
    throw new ScfError('InvalidParameterValue.DefaultNamespace', `namespace '${name}' is always there`)
  await catalogue.change((draft) => {
    const key = namespaceKey(call.accountId, name)
    if (draft.get('namespace', key) !== undefined)
      throw new ScfError('ResourceInUse.Namespace', `namespace '${name}' already exists`)
    const made = withQuotaCode('LimitExceeded.Namespace', () =>
      ensureNamespace(draft, call.accountId, name, now()),
    )
    draft.put('namespace', key, { ...made.value, description })
  })
  return {}
}

/** @throws {ScfError} `ResourceNotFound.Namespace` */
export const updateNamespace: Operation = async (call, { catalogue, now }) => {
  const name = requiredNamespaceOf(call.params, { isNew: false })
  const description = readDescription(call.params, { required: true }) ?? ''
  await catalogue.change((draft) => {
    const nowMs = now()
    const before =
      name === DEFAULT_NAMESPACE
        ? ensureNamespace(draft, call.accountId, name, nowMs)
        : requireRecord(draft, call.accountId, name)
    draft.put('namespace', before.key, { ...before.value, description, modifiedAtMs: nowMs })
  })
  return {}
}

/** Removes an empty namespace. @throws {ScfError} `FailedOperation.DeleteNamespace`: it is `default`, or has functions */
export const deleteNamespace: Operation = async (call, { catalogue }) => {
  const name = requiredNamespaceOf(call.params, { isNew: false })
  if (name === DEFAULT_NAMESPACE)
    throw new ScfError('FailedOperation.DeleteNamespace', `namespace '${name}' cannot be deleted`)
  await catalogue.change((draft) => {
    const record = requireRecord(draft, call.accountId, name)
    const contents = namespaceContents(draft, call.accountId, name)
    if (contents.length > 0)
      throw new ScfError(
        'FailedOperation.DeleteNamespace',
        `namespace '${name}' still has ${contents.join(' and ')}`,
      )
    removeNamespace(draft, record)
  })
  return {}
}

/** All namespaces, `default` among them before its first function is made. By name, unless ordered otherwise. */
export const listNamespaces: Operation = (call, { catalogue }) => {
  const page = pageOf(call.params)
  const { key, descending } = orderOf(
    call.params,
    'Orderby',
    { Name: 'name', Updatetime: 'modifiedAtMs' } as const,
    { key: 'name', descending: false },
  )
  const fits = readSearch(call.params)
  const namespaces = inOrder(
    namespacesOf(catalogue, call.accountId).filter(fits),
    (one) => one[key],
    descending,
  )
  return {
    Namespaces: onPage(namespaces, page).map((namespace) => ({
      Name: namespace.name,
      Type: 'default',
      Description: namespace.description,
      AddTime: formatTime(namespace.createdAtMs),
      ModTime: formatTime(namespace.modifiedAtMs),
    })),
    TotalCount: namespaces.length,
  }
}

/** The namespaces of an account by name, with `default`. */
export function namespacesOf(definitions: Definitions, account: string): readonly Shown[] {
  const records = definitions.list('namespace', namespaceKey(account, '')).map(({ value }) => value)
  if (records.some(({ name }) => name === DEFAULT_NAMESPACE)) return records
  const unmade: Shown = { name: DEFAULT_NAMESPACE, description: '', createdAtMs: 0, modifiedAtMs: 0 }
  return [unmade, ...records]
}

function requireRecord(definitions: Definitions, account: string, name: string): Stored<'namespace'> {
  const record = definitions.get('namespace', namespaceKey(account, name))
  if (record === undefined) throw new EngineError('caller/namespace-not-found', { namespace: name })
  return record
}

function readDescription(params: JsonObject, options: { readonly required?: true } = {}): string | undefined {
  const code = 'InvalidParameterValue.Description'
  return textField(params, 'Description', { ...options, max: MAX_DESCRIPTION_CHARS, code })
}

/** `SearchKey`: all of its entries must fit. */
function readSearch(params: JsonObject): (namespace: Shown) => boolean {
  const code = 'InvalidParameterValue.SearchKey'
  const searches = (objectListField(params, 'SearchKey', { max: MAX_SEARCH_KEYS, code }) ?? []).map(
    (entry) => {
      const key = textField(entry, 'Key', { required: true, code })
      const value = textField(entry, 'Value', { required: true, code }).toLowerCase()
      if (key !== 'Namespace' && key !== 'Description')
        throw invalidValue('SearchKey', 'Namespace or Description', key, code)
      return (namespace: Shown) =>
        (key === 'Namespace' ? namespace.name : namespace.description).toLowerCase().includes(value)
    },
  )
  return (namespace) => searches.every((search) => search(namespace))
}
