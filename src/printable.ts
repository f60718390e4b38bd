/** How do names go into an error message? Without characters that move a terminal's cursor or turn the direction of writing. */

/** A name from a hostile file: shortened as well. */
export function printable(name: string): string {
  return escaped(name.length > 120 ? `${name.slice(0, 117)}...` : name);
}

/** A name that a person gave: all of it. */
export function escaped(name: string): string {
  const shown = name.replace(/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
  return shown === "" ? '""' : shown;
}
