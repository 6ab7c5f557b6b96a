/**
 * A function of a text that keeps its answers, for texts that come again and again, such as what one client sends with every
 * request. Bounded, whoever sends the texts: when it is full it begins anew, and long texts are not kept.
 *
 * @param make Must depend on the text alone. Answers of `undefined` are not kept.
 * @param bounds Most answers that are kept, and the longest text that has one, characters.
 */
export function memoised<T>(
  make: (text: string) => T | undefined,
  bounds: { readonly entries: number; readonly characters: number },
): (text: string) => T | undefined {
  const known = new Map<string, T>()
  return (text) => {
    const kept = known.get(text)
    if (kept !== undefined) return kept
    const made = make(text)
    if (made === undefined || text.length > bounds.characters) return made
    if (known.size >= bounds.entries) known.clear()
    known.set(text, made)
    return made
  }
}
