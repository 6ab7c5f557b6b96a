import { defineConfig } from 'vitest/config'

/** Every test runs on the carried Node, in a process of its own per file; see CONTRIBUTING.md. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
})
