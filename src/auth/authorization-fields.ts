/**
 * Splits the part of an Authorization header behind its scheme: `Name=value`, with commas between.
 *
 * @param count How many fields there must be.
 * @returns undefined when there are more or fewer, or two of one name
 */
export function parseAuthorizationFields(
  text: string,
  count: number,
): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>()
  for (const piece of text.split(',', count + 1)) {
    const equals = piece.indexOf('=')
    const name = piece.slice(0, Math.max(equals, 0)).trim()
    if (found.has(name)) return undefined
    found.set(name, piece.slice(equals + 1).trim())
  }
  return found.size === count ? found : undefined
}
