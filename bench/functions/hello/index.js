'use strict'

/** Hello world: a small JSON event in, a small JSON result out. Every measured system runs this file. */
exports.handler = async (event) => {
  const { name } = JSON.parse(event.toString('utf8'))
  return Buffer.from(JSON.stringify({ message: `Hello, ${name}!` }))
}
