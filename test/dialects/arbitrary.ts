import * as fc from 'fast-check'

/** Draws what a client would send, and one time in `oneIn` something else. */
export function mostly<A, B>(
  usual: fc.Arbitrary<A>,
  strange: fc.Arbitrary<B>,
  oneIn = 12,
): fc.Arbitrary<A | B> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: usual }, { weight: 1, arbitrary: strange })
}

/** Segments of paths that no client would send. */
export const strangeSegment: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...[
      '',
      '..',
      '%2F',
      '%',
      '%zz',
      '%00',
      'a%2Fb',
      '__proto__',
      'constructor',
      '.',
      '*',
      ':',
      '!',
      ':service',
    ],
  ),
  fc.string({ maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({ maxLength: 12 }).map((text) => text.replaceAll(/[?/]/g, '')),
)
