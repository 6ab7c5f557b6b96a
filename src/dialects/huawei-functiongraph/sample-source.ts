/** What plain source depends on. */
interface SourceOwner {
  readonly runtime: string
  readonly handler: string
}

/** What a function is made with when it is made with no code at all: it answers with its event, as the console's sample does. */
export function sampleSource({ runtime, handler }: SourceOwner): string {
  const name = handler.slice(handler.lastIndexOf('.') + 1)
  // It becomes part of a program.
  const safe = /^[A-Za-z_]\w*$/.test(name) ? name : 'handler'
  return isPython(runtime) ? pythonSource(safe) : nodeSource(safe)
}

/** What stands in for code that is elsewhere: it fails when it is loaded and says why. */
export function missingSource({ runtime }: SourceOwner, url: string): string {
  const message = `the code at ${url} was not fetched: this server does not reach it, send the code itself`
  // A text of JSON is one of both languages.
  return isPython(runtime)
    ? `raise RuntimeError(${JSON.stringify(message)})\n`
    : `throw new Error(${JSON.stringify(message)})\n`
}

function isPython(runtime: string): boolean {
  return /^python/i.test(runtime)
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
