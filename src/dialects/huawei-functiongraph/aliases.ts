import { isVersionTaken } from '../../definitions/publish.ts'
import { removeSettingsThrough } from '../../definitions/remove.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { aliasKey, qualifiedKey, versionKey } from '../../engine/keys.ts'
import { withExtras } from '../extras.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST } from '../../model/function.ts'
import type { AliasRecord, Extras, FunctionRecord, Stored } from '../../store/definition-store.ts'
import { aliasBody, aliasesOf, STRATEGY } from './alias-records.ts'
import { FssError } from './errors.ts'
import { field, integerField, invalidValue, objectField, required, stringField } from './fields.ts'
import { QUOTA } from './limits.ts'
import { ALIAS_NAME, shownVersion, storedVersion } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { shapedObject, type ObjectShape } from './shapes.ts'
import { requireAt, requireHead, urnOf } from './target.ts'

const DESCRIPTION_CHARS = 512

const RULES: ObjectShape = {
  combine_type: 'text',
  rules: [{ rule_type: 'text', param: 'text', op: 'text', value: 'text' }],
}

/**
 * POST F/U/aliases
 *
 * @throws {FssError} `FSS.1014`: the name; `FSS.1052`, `FSS.1066`: the version; `FSS.1091` … `FSS.1093`: the additional one;
 *   `FSS.1043`, `FSS.1063`, `FSS.1062`: too many, or the name is taken
 */
export const createVersionAlias: Operation = async (call, { catalogue, now }) => {
  const code = 'FSS.1014'
  const name = required(stringField(call.body, 'name', { pattern: ALIAS_NAME, code }), 'name', code)
  if (name === LATEST || name.toLowerCase() === shownVersion(LATEST))
    throw new FssError(code, `invalid parameter name '${name}'`)
  const given = aliasFields(call)
  const record = await catalogue.change((draft) => {
    const nowMs = now()
    const head = requireHead(draft, call.accountId, urnOf(call)).value
    requireFreeName(draft, head, name)
    const others = aliasesOf(draft, head)
    if (others.length >= QUOTA.aliases)
      throw new FssError('FSS.1043', `a function may have no more than ${QUOTA.aliases} aliases`)
    requireVersions(draft, call, given, name)
    return draft.put('alias', aliasKey(head.account, head.namespace, name, head.name), {
      account: head.account,
      namespace: head.namespace,
      functionName: head.name,
      name,
      version: given.version,
      weights: given.weights,
      description: given.description ?? '',
      extras: withExtras({}, DIALECT, given.own),
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return { status: 200, body: aliasBody(call, record.value) }
}

/** GET F/U/aliases: a list with nothing around it, in the order of the names. */
export const listVersionAliases: Operation = (call, { catalogue }) => {
  const head = requireHead(catalogue, call.accountId, urnOf(call)).value
  return { status: 200, body: aliasesOf(catalogue, head).map(({ value }) => aliasBody(call, value)) }
}

/** GET F/U/aliases/{alias_name} @throws {EngineError} `caller/alias-not-found` */
export const showVersionAlias: Operation = (call, { catalogue }) => ({
  status: 200,
  body: aliasBody(call, requireAlias(catalogue, call).value),
})

/** PUT F/U/aliases/{alias_name}: version, weights and rules are those of the request; only the description may be left out. */
export const updateVersionAlias: Operation = async (call, { catalogue, now }) => {
  const given = aliasFields(call)
  const record = await catalogue.change((draft) => {
    const { key, value } = requireAlias(draft, call)
    requireVersions(draft, call, given, value.name)
    return draft.put('alias', key, {
      ...value,
      version: given.version,
      weights: given.weights,
      description: given.description ?? value.description,
      extras: withExtras(value.extras, DIALECT, given.own),
      modifiedAtMs: now(),
    })
  })
  return { status: 200, body: aliasBody(call, record.value) }
}

/** DELETE F/U/aliases/{alias_name} @throws {FssError} `FSS.1154`: it has triggers */
export const deleteVersionAlias: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => {
    const { key, value } = requireAlias(draft, call)
    const { account, namespace, functionName = '', name } = value
    const triggers = draft.list('trigger', qualifiedKey(account, namespace, functionName, ''))
    if (triggers.some((trigger) => trigger.value.qualifier === name))
      throw new FssError('FSS.1154', `the alias '${name}' has triggers`)
    draft.delete('alias', key)
    removeSettingsThrough(draft, account, namespace, functionName, name)
  })
  return { status: 204 }
}

interface AliasFields {
  readonly version: string
  readonly weights: AliasRecord['weights']
  readonly description?: string
  readonly own: Extras
}

function aliasFields(call: Call): AliasFields {
  const version = required(
    stringField(call.body, 'version', { min: 1, max: 64, code: 'FSS.1015' }),
    'version',
    'FSS.1015',
  )
  const description = stringField(call.body, 'description', { max: DESCRIPTION_CHARS, code: 'FSS.1019' })
  const weights = weightsOf(call.body)
  const strategy = strategyOf(call.body)
  if (strategy !== undefined && Object.keys(weights).length > 0)
    throw new FssError(
      'FSS.1092',
      'an alias has either additional_version_weights or additional_version_strategy',
    )
  return {
    version: storedVersion(version),
    weights,
    ...(description !== undefined && { description }),
    own: strategy === undefined ? {} : { [STRATEGY]: strategy },
  }
}

/** Version → share of calls, 0 … 1, from whole percents. */
function weightsOf(body: JsonObject): AliasRecord['weights'] {
  const name = 'additional_version_weights'
  const given = objectField(body, name, 'FSS.1092') ?? {}
  const versions = Object.keys(given)
  if (versions.length > 1) throw new FssError('FSS.1091', `${name} names more than one version`)
  return Object.fromEntries(
    versions.map((version) => {
      const code = 'FSS.1092'
      const percent = required(integerField(given, version, { min: 0, max: 100, code }), name, code)
      return [storedVersion(version), percent / 100]
    }),
  )
}

/** Rules by which calls go to another version, by that version. */
function strategyOf(body: JsonObject): JsonObject | undefined {
  const code = 'FSS.1091'
  const given = objectField(body, STRATEGY, code) ?? {}
  const versions = Object.keys(given)
  if (versions.length > 1) throw new FssError(code, `${STRATEGY} names more than one version`)
  if (versions.length === 0) return undefined
  return Object.fromEntries(
    versions.map((version) => [storedVersion(version), rulesOf(`${STRATEGY}.${version}`, given[version])]),
  )
}

function rulesOf(name: string, value: unknown): JsonObject {
  const code = 'FSS.1091'
  const rules = shapedObject(name, value, RULES, code)
  const combine = field(rules, 'combine_type')
  if (combine !== undefined && combine !== 'and' && combine !== 'or')
    throw invalidValue(`${name}.combine_type`, 'and | or', combine, code)
  return rules
}

function requireFreeName(draft: Draft, { account, namespace, name }: FunctionRecord, alias: string): void {
  if (
    draft.get('alias', aliasKey(account, namespace, alias, name)) !== undefined ||
    draft.get('alias', aliasKey(account, namespace, alias)) !== undefined
  )
    throw new FssError('FSS.1063', `the alias '${alias}' exists`)
  // Callers through other APIs could not tell the two apart.
  if (
    isVersionTaken(draft, account, namespace, name, alias) ||
    draft.get('version', versionKey(account, namespace, alias)) !== undefined
  )
    throw new FssError('FSS.1062', `there is a version '${alias}'`)
}

function requireVersions(draft: Draft, call: Call, given: AliasFields, name: string): void {
  const urn = urnOf(call)
  const at = (version: string): FunctionRecord =>
    requireAt(draft, call.accountId, {
      namespace: urn.namespace,
      name: urn.name,
      qualifier: version,
      isAlias: false,
    }).value
  const { account, namespace, name: functionName } = at(given.version)
  const taken = aliasesOf(draft, { account, namespace, name: functionName }).some(
    ({ value }) => value.version === given.version && value.name !== name,
  )
  if (taken) throw new FssError('FSS.1066', `version '${shownVersion(given.version)}' has an alias already`)
  const strategy = given.own[STRATEGY]
  const additional = [...Object.keys(given.weights), ...Object.keys(strategy ?? {})]
  for (const version of additional) {
    if (version === given.version)
      throw new FssError('FSS.1093', 'the additional version is the version of the alias itself')
    if (!isVersionTaken(draft, account, namespace, functionName, version))
      throw new FssError(
        'FSS.1091',
        `not found the additional version '${shownVersion(version).slice(0, 64)}'`,
      )
  }
}

function requireAlias(definitions: Definitions, call: Call): Stored<'alias'> {
  const { account, namespace, name } = requireHead(definitions, call.accountId, urnOf(call)).value
  const alias = call.params['alias_name'] ?? ''
  const found = definitions.get('alias', aliasKey(account, namespace, alias, name))
  if (found === undefined) throw new EngineError('caller/alias-not-found', { namespace, alias })
  return found
}
