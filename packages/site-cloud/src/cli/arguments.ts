import { type Command, InvalidArgumentError } from 'commander'

/** A whole number of a flag or argument, 0 or more. */
function wholeNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('must be a whole number')
  return value
}

/** A whole number, 1 or more. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text)
  if (value === 0) throw new InvalidArgumentError('must be 1 or more')
  return value
}

/** Examples at the end of a command's help. */
export function withExamples<C extends Command>(command: C, ...lines: readonly string[]): C {
  command.addHelpText('after', `\nExamples:\n${lines.map(line => `  $ ${line}`).join('\n')}`)
  return command
}

export interface Waiting {
  readonly wait?: boolean
  /** Seconds. */
  readonly timeout: number
}

export function withWait<C extends Command>(command: C, seconds = 120): C {
  command
    .option('--wait', 'wait until the host has carried it out; exit code 1 when it fails')
    .option('--timeout <seconds>', 'longest wait', positiveNumber, seconds)
  return command
}
