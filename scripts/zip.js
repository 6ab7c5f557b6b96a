import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'

/** A zip archive of the files directly in a directory, in base64. */
export async function base64ZipOf(directory) {
  // Not at the top: the packages may have to be installed first.
  const { ZipFile } = await import('yazl')
  const archive = new ZipFile()
  for (const name of readdirSync(directory)) archive.addBuffer(readFileSync(join(directory, name)), name)
  archive.end()
  return (await buffer(archive.outputStream)).toString('base64')
}
