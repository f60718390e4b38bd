/** How are numbers of bytes written for people, and which number do people mean? */

const decimal = ["kB", "MB", "GB", "TB"];

/** `812 bytes`, `43.1 kB`, `1.2 MB`, `3.4 GB`. */
export function bytesText(bytes: number, digits = 1): string {
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), decimal.length);
  return `${(bytes / 1000 ** power).toFixed(digits)} ${decimal[power - 1]}`;
}

/** What {@link bytesFromText} takes, for messages. */
export const byteSizeForms = "a size such as 8GB, 7.5GiB, 500MB or a number of bytes";

/** Decimal units (`8GB`), binary ones (`8GiB`) and plain bytes; undefined for what is no size above 0. */
export function bytesFromText(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(?:([kmgt])(i?)b|b(?:ytes)?)?$/i.exec(text.trim());
  if (!match) return undefined;
  const [, amount, prefix = "", binary] = match;
  const power = prefix === "" ? 0 : "kmgt".indexOf(prefix.toLowerCase()) + 1;
  const bytes = Math.floor(Number(amount) * (binary ? 1024 : 1000) ** power);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}
