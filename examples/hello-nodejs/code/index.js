// The event arrives as bytes, exactly as the caller sent it; whatever goes to the callback is the answer.
exports.handler = (event, context, callback) => {
  const { name = 'world' } = JSON.parse(event.toString() || '{}')
  console.log('greeting', name)
  callback(null, {
    greeting: `Hello, ${name}!`,
    from: `Node.js ${process.versions.node}`,
    function: context.function.name,
  })
}
