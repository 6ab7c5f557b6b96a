/** Looking into values that code threw, exported or sent. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && (typeof value === 'object' || typeof value === 'function')
}

/** The `code` of a system or module error. */
export function errorCode(error: unknown): string | undefined {
  return isRecord(error) && typeof error['code'] === 'string' ? error['code'] : undefined
}

/** Primitives and functions as text; symbols, too, which templates refuse. */
export function plainText(value: unknown): string {
  // oxlint-disable-next-line typescript/no-base-to-string -- callers form the text of objects themselves
  return String(value)
}

/** Any value as text: objects as JSON, or as the name of what they are where they have no form in it. */
export function textOf(value: unknown): string {
  if (!isRecord(value)) return plainText(value)
  try {
    return JSON.stringify(value) ?? plainText(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** Errors of another realm (`vm`) are no `instanceof` of ours. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]'
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null && typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function'
  )
}
