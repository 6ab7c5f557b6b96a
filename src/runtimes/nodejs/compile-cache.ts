import fs from 'node:fs'
import nodeModule from 'node:module'

/** Where the server shows what it has compiled of the function's code and layers; see `sandbox/README.md`. */
const DIRECTORY = '/anvoke/compiled'

/**
 * Lets Node.js take code that is compiled already from there, if there is any. Entries that do not fit (another Node.js, another text,
 * damage) are passed over by Node.js. Cheap to call again.
 */
export function useCompileCache(): void {
  try {
    if (fs.readdirSync(DIRECTORY).length === 0) return
  } catch {
    // No sandbox shows it.
    return
  }
  // Not `readOnly`, with which Node.js 26 looks for a directory with the user's id in its name: the mount is read-only.
  nodeModule.enableCompileCache({ directory: DIRECTORY, portable: true })
}
