/**
 * Ends this process as `kill -9` does: nothing is closed, flushed or cleaned up. For a database whose disk has failed: whatever closes it
 * writes to it.
 */
export function killItself(): void {
  process.kill(process.pid, 'SIGKILL')
}
