/** Waits for `promise`, but no longer than `limitMs`. Rejects as the promise does. */
export async function withLimit(promise: Promise<unknown>, limitMs: number): Promise<void> {
  const limit = Promise.withResolvers<void>()
  const timer = setTimeout(limit.resolve, limitMs)
  try {
    await Promise.race([promise, limit.promise])
  } finally {
    clearTimeout(timer)
  }
}
