// The same as calls.py, in Node.js with `--experimental-ffi`.
const { dlopen, getInt32 } = require('node:ffi')
const { getSystemErrorName } = require('node:util')

const word = 'i64'
const { functions } = dlopen('libc.so.6', {
  syscall: { return: word, arguments: [word, word, word, word, word] },
  __errno_location: { return: 'pointer', arguments: [] },
})
const endings = {}
for (const [name, number, values] of JSON.parse(process.argv[2])) {
  const [first, second, third, fourth] = values.map(BigInt)
  const result = functions.syscall(BigInt(number), first, second, third, fourth)
  if (result === 0n && name.startsWith('clone')) process.kill(process.pid, 'SIGKILL')
  const failed = result < 0n
  endings[name] = failed ? getSystemErrorName(-getInt32(functions.__errno_location())) : 'allowed'
}
process.stdout.write(`${JSON.stringify(endings)}\n`)
