/** Edits beyond which a name is taken for another word, not for a slip. */
const MAX_EDITS = 3

/** The candidate that a mistyped name most likely meant; undefined when none is near. Case and `-`, `_` do not count. */
export function suggest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(name)
  let best: string | undefined
  let bestEdits = Math.min(MAX_EDITS, Math.floor(wanted.length / 2)) + 1
  for (const candidate of candidates) {
    const edits = editDistance(wanted, fold(candidate))
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}

function fold(name: string): string {
  return name.slice(0, 100).toLowerCase().replaceAll(/[-_]/g, '')
}

/** Levenshtein's distance. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= right.length; column += 1) {
      const substitute = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1)
      const remove = (previous[column] ?? 0) + 1
      const insert = (current[column - 1] ?? 0) + 1
      current.push(Math.min(substitute, remove, insert))
    }
    previous = current
  }
  return previous[right.length] ?? 0
}
