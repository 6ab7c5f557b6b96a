// The event arrives as what its JSON holds; what is returned becomes JSON.
exports.main_handler = async (event, context) => {
  const { name = 'world' } = event
  console.log('greeting', name)
  return {
    greeting: `Hello, ${name}!`,
    from: `Node.js ${process.versions.node}`,
    function: context.function_name,
  }
}
