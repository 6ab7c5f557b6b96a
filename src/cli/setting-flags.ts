import { Option, type Command } from 'commander'
import { flagOf, settingDocs, settingKeys, type SettingKey } from '../config/schema.ts'

/** What the command line says about settings. */
export interface SettingFlags {
  readonly flags: ReadonlyMap<SettingKey, string>
  readonly configFile: string | undefined
}

/** Adds `--config` and a flag for each setting that is not secret. */
export function addSettingFlags(command: Command): Command {
  command.option('--config <file>', 'read settings from this file (default: ./anvoke.yaml where it exists)')
  for (const { option } of settingOptions()) command.addOption(option)
  return command
}

/** Collects what was given of the flags that {@link addSettingFlags} added. */
export function readSettingFlags(command: Command): SettingFlags {
  const values = command.opts<Record<string, string | undefined>>()
  const flags = new Map<SettingKey, string>()
  for (const { key, option } of settingOptions()) {
    const text = values[option.attributeName()]
    if (text !== undefined) flags.set(key, text)
  }
  return { flags, configFile: values['config'] }
}

function settingOptions(): { key: SettingKey; option: Option }[] {
  return settingKeys.flatMap((key) => {
    const flag = flagOf(key)
    const { unit, why } = settingDocs[key]
    return flag === undefined ? [] : [{ key, option: new Option(`--${flag} <${unit}>`, why) }]
  })
}
