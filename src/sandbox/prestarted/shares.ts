/** Classes of processes that are kept: those asked for last. */
export const MOST_CLASSES = 4

/** Processes kept for all classes together. */
export const MOST_STEMS = 8

/**
 * How many processes each class is given.
 *
 * @param classes How many there are; the first is the one asked for last.
 * @param perClass Wanted for each, 0 or more.
 * @returns One number for each class, in the same order.
 */
export function sharesOf(classes: number, perClass: number): readonly number[] {
  let left = MOST_STEMS
  return Array.from({ length: classes }, (_, index) => {
    const share = index < MOST_CLASSES ? Math.min(perClass, left) : 0
    left -= share
    return share
  })
}
