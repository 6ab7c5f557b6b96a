import { addFunction } from '../../definitions/functions.ts'
import { accountFunctions, ensureNamespace } from '../../definitions/namespaces.ts'
import { removeFunction } from '../../definitions/remove.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { functionKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { withCodeFacts } from './code-facts.ts'
import { codeElsewhere, takeCode, type TakenCode } from './code-intake.ts'
import { layOut, readDependencies, withDependencyIds } from './dependency-records.ts'
import { FssError } from './errors.ts'
import { required, stringField } from './fields.ts'
import { functionBody, functionItem } from './function-body.ts'
import { withCap } from './function-edit.ts'
import { readSettings, type Settings } from './function-settings.ts'
import { QUOTA } from './limits.ts'
import { FUNCTION_NAME } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { FUNCTION_PAGES, pageMembers, pageOf } from './paging.ts'
import { tagsOfText, addTags } from './tag-records.ts'
import { namesLatest, requireHead, urnOf } from './target.ts'
import { DEFAULT_PACKAGE } from './urn.ts'
import { removeVersionThrough } from './versions.ts'

/** POST F @throws {FssError} with the vendor's code for what is wrong; `FSS.1061`, `FSS.1041` */
export const createFunction: Operation = async (call, rooms) => {
  const { body } = call
  const name = newNameOf(body)
  const namespace = packageOf(body)
  const settings = readSettings(body, undefined, call.projectId)
  const tags = tagsOfText(stringField(body, 'tags') ?? '')
  rooms.requireRuntime(settings.run.runtime)
  requireFree(rooms.catalogue, call.accountId, namespace, name)
  const dependencies = readDependencies(rooms.catalogue, call.accountId, body)
  await layOut(rooms, dependencies)
  const code =
    (await takeCode(call, rooms.packages, settings.run)) ??
    (await codeElsewhere(call, rooms.packages, settings.run))
  const record = await rooms.catalogue.change((draft) => {
    const made = makeFunction(draft, call, { namespace, name, body, settings, code, nowMs: rooms.now() })
    if (Object.keys(tags).length > 0) addTags(draft, made, tags, rooms.now())
    return made
  })
  return { status: 200, body: functionBody(rooms.catalogue, call, record) }
}

/** GET F: the latest states of all functions, of all packages, in the order of their names. */
export const listFunctions: Operation = (call, { catalogue }) => {
  const namespace = call.query.get('package_name') ?? ''
  const part = call.query.get('func_name') ?? ''
  const functions = accountFunctions(catalogue, call.accountId).filter(
    (value) => (namespace === '' || value.namespace === namespace) && value.name.includes(part),
  )
  const page = pageOf(call.query, functions, FUNCTION_PAGES)
  return {
    status: 200,
    body: {
      functions: page.items.map((value) => functionItem(catalogue, call, value)),
      ...pageMembers(page),
    },
  }
}

/**
 * DELETE F/U: the function with all its versions, or what a URN with a version or an alias names.
 *
 * @throws {FssError} `FSS.1015`: the latest state goes with its function only; `FSS.1094`
 */
export const deleteFunction: Operation = async (call, { catalogue }) => {
  const urn = urnOf(call)
  if (namesLatest(call))
    throw new FssError('FSS.1015', "version 'latest' cannot be deleted: name the function without a version")
  await catalogue.change((draft) => {
    if (urn.qualifier === undefined) removeFunction(draft, requireHead(draft, call.accountId, urn).value)
    else removeVersionThrough(draft, call.accountId, urn)
  })
  return { status: 204 }
}

/** What a function is made from. */
export interface NewFunction {
  readonly namespace: string
  readonly name: string
  /** Names the dependencies. */
  readonly body: JsonObject
  readonly settings: Settings
  readonly code: TakenCode
  readonly nowMs: number
}

/** Makes a function, and its package where there is none. @throws {FssError} `FSS.1061`, `FSS.1041`, `FSS.1056` */
export function makeFunction(
  draft: Draft,
  call: Call,
  { namespace, name, body, settings, code, nowMs }: NewFunction,
): FunctionRecord {
  const account = call.accountId
  requireFree(draft, account, namespace, name)
  if (accountFunctions(draft, account).length >= QUOTA.functions)
    throw new FssError('FSS.1041', `there may be no more than ${QUOTA.functions} functions`)
  ensureNamespace(draft, account, namespace, nowMs)
  const { layers = [], ids = [] } = readDependencies(draft, account, body) ?? {}
  const own = withDependencyIds(withCodeFacts(settings.shown, code.package, code.facts), ids)
  return addFunction(
    draft,
    {
      account,
      namespace,
      name,
      description: settings.description,
      spec: {
        ...settings.run,
        contract: DIALECT,
        code: code.package,
        ...(layers.length > 0 && { layers }),
      },
      facts: settings.facts,
      extras: {
        [DIALECT]: withCap(
          draft,
          { account, namespace, name, version: LATEST },
          own,
          settings.maxInstances,
          nowMs,
        ),
      },
    },
    nowMs,
  ).value
}

/** The name a request gives a new function. @throws {FssError} `FSS.1002` */
export function newNameOf(body: JsonObject): string {
  const code = 'FSS.1002'
  return required(stringField(body, 'func_name', { pattern: FUNCTION_NAME, code }), 'func_name', code)
}

/** The package a request names, `default` where it names none. @throws {FssError} `FSS.1004` */
export function packageOf(body: JsonObject): string {
  const name = stringField(body, 'package', { code: 'FSS.1004' }) ?? ''
  if (name === '') return DEFAULT_PACKAGE
  if (!FUNCTION_NAME.test(name)) throw new FssError('FSS.1004', 'invalid parameter package')
  return name
}

/** Insists that there is no function of that name. @throws {FssError} `FSS.1061` */
export function requireFree(
  definitions: Pick<Draft, 'get'>,
  account: string,
  namespace: string,
  name: string,
): void {
  if (definitions.get('function', functionKey(account, namespace, name)) !== undefined)
    throw new FssError('FSS.1061', `the function '${name}' exists in package '${namespace}'`)
}
