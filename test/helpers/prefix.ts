import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { basename, join } from 'node:path'

const SYSTEM_PYTHON = '/usr/bin/python3'
/** As `make install` calls it. */
const VERSIONED = existsSync(SYSTEM_PYTHON) ? basename(realpathSync(SYSTEM_PYTHON)) : ''

/** Whether the host has a Python to install elsewhere. */
export const canInstall = /^python3\.\d+$/.test(VERSIONED) && existsSync(`/usr/lib/${VERSIONED}/os.py`)

/** A Python as `--prefix=…` installs it, in a directory of its own. */
export class Prefix {
  readonly dir: string
  readonly python: string
  /** Where modules of its library come from. */
  readonly library: string

  /** @param parent Where to install it; what lies below `/tmp` cannot be shown to functions. */
  constructor(parent: string) {
    this.dir = realpathSync(mkdtempSync(join(parent, 'anvoke-prefix-')))
    chmodSync(this.dir, 0o755)
    this.python = join(this.dir, 'bin', VERSIONED)
    this.library = join(this.dir, 'lib', VERSIONED)
    mkdirSync(join(this.dir, 'bin'))
    mkdirSync(this.library, { recursive: true })
    copyFileSync(realpathSync(SYSTEM_PYTHON), this.python)
    for (const name of readdirSync(`/usr/lib/${VERSIONED}`))
      symlinkSync(join('/usr/lib', VERSIONED, name), join(this.library, name))
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}
