/** A name service of the lab's host. Its arguments: the address it listens at, and the one it answers with. Says a line once it listens. */
import { serveNames } from './name-service.ts'

const [address = '', answer = ''] = process.argv.slice(2)
await serveNames(address, answer)
process.stdout.write('ready\n')
