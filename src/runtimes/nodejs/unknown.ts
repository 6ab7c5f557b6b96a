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
