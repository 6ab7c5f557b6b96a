import { textField } from './fields.ts'
import type { JsonObject } from './operation.ts'

/** Longest description, characters. Source: the vendor's CreateFunction page. */
const MAX_DESCRIPTION_CHARS = 1000
const MAX_ROLE_CHARS = 256

/** @throws {ScfError} `InvalidParameterValue.Description` */
export function readDescription(params: JsonObject): string | undefined {
  return textField(params, 'Description', {
    max: MAX_DESCRIPTION_CHARS,
    code: 'InvalidParameterValue.Description',
  })
}

/** The name of the role a function acts in; empty for none. @throws {ScfError} `InvalidParameterValue` */
export function readRole(params: JsonObject): string | undefined {
  return textField(params, 'Role', { max: MAX_ROLE_CHARS, pattern: /^[^\p{Cc}]*$/u })
}
