/** What a function is made with when it is made with no code at all: it answers with its event, as the console's sample does. */
export function sampleSource({
  runtime,
  handler,
}: {
  readonly runtime: string
  readonly handler: string
}): string {
  const name = handler.slice(handler.lastIndexOf('.') + 1)
  // It becomes part of a program.
  const safe = /^[A-Za-z_]\w*$/.test(name) ? name : 'handler'
  return /^python/i.test(runtime) ? pythonSource(safe) : nodeSource(safe)
}

function pythonSource(name: string): string {
  return `# -*- coding:utf-8 -*-
import json
def ${name} (event, context):
    return {
        "statusCode": 200,
        "isBase64Encoded": False,
        "body": json.dumps(event),
        "headers": {
            "Content-Type": "application/json"
        }
    }
`
}

function nodeSource(name: string): string {
  return `exports.${name} = async (event, context) => {
    const output =
    {
        'statusCode': 200,
        'headers':
        {
            'Content-Type': 'application/json'
        },
        'isBase64Encoded': false,
        'body': JSON.stringify(event),
    }
    return output;
}
`
}
