/** How does a name from a hostile file go into an error message? Shortened, and without characters that move a terminal's cursor. */
export function printable(name: string): string {
  const short = name.length > 120 ? `${name.slice(0, 117)}...` : name;
  const escaped = short.replace(/[^\P{C}]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
  return escaped === "" ? '""' : escaped;
}
