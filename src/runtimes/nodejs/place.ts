import path from 'node:path'

/** The directory of the bootstrap, with a slash at its end: what the process was started with, before code could change it. */
export const OWN_DIRECTORY = `${path.dirname(process.argv[1] ?? '/')}/`
