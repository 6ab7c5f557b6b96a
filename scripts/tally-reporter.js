// Tells scripts/test.js how many tests passed, failed and were skipped: a reporter for vitest that writes these numbers
// as JSON to the file that TEST_TALLY names, and says nothing itself.
import { writeFileSync } from 'node:fs'

export default class TallyReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tally = { passed: 0, failed: 0, skipped: 0 }
    for (const module of modules) {
      const failedBefore = tally.failed
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // Pending are those that an end of the run came before.
        tally[state === 'pending' ? 'failed' : state] += 1
      }
      // A file that cannot be loaded, or a hook that fails, breaks tests without a test of its own to count.
      if (module.state() === 'failed' && tally.failed === failedBefore) tally.failed += 1
    }
    if (tally.failed === 0 && unhandledErrors.length > 0) tally.failed = 1
    writeFileSync(process.env.TEST_TALLY, JSON.stringify(tally))
  }
}
