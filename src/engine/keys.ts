import { LATEST } from '../model/function.ts'

/**
 * Keys of the records, one place for all of them. Segments are joined with `/`, which no name contains, so that a
 * key's prefix is a listing and keys sort like the names in them.
 */
export const namespaceKey = (account: string, namespace: string): string => `${account}/${namespace}`

/** Functions sort by namespace, then version, then name: the functions of one version are one listing. */
export const functionKey = (account: string, namespace: string, name: string, version = LATEST): string =>
  `${account}/${namespace}/${version}/${name}`

/** `functionName` absent: the version or alias covers the whole namespace. */
export const versionKey = (account: string, namespace: string, version: string, functionName = ''): string =>
  `${account}/${namespace}/${functionName}/${version}`

export const aliasKey = (account: string, namespace: string, alias: string, functionName = ''): string =>
  `${account}/${namespace}/${functionName}/${alias}`

/** Settings of one function through one qualifier: asynchronous calls, scaling, provisioning. */
export const qualifiedKey = (
  account: string,
  namespace: string,
  functionName: string,
  qualifier: string,
): string => `${account}/${namespace}/${functionName}/${qualifier}`

/** `resource` is `namespace` or `namespace/function`. */
export const tagsKey = (account: string, resource: string): string => `${account}/${resource}`

export const triggerKey = (
  account: string,
  namespace: string,
  functionName: string,
  type: string,
  name: string,
): string => `${account}/${namespace}/${functionName}/${type}/${name}`

/** Versions of a layer are one listing; zeros in front make them sort by number. */
export const layerKey = (account: string, name: string, version: number): string =>
  `${account}/${name}/${String(version).padStart(9, '0')}`

/** `dialect` keeps the names of the vendors' documents apart; `owner` is `namespace/function`, `namespace` or empty. */
export const documentKey = (account: string, owner: string, dialect: string, name: string): string =>
  `${account}/${owner}/${dialect}/${name}`
