/** How does a whole number of any size look in JSON? A number where that is exact, else its decimal digits in a string. */

/** The number, or the bigint where a number would not be exact. */
export function exactInteger(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

export function integerToJson(value: bigint): number | string {
  const exact = exactInteger(value);
  return typeof exact === "bigint" ? exact.toString() : exact;
}

/** A string of digits as {@link integerToJson} writes it, of a small number too; undefined for other text. */
export function integerFromJson(text: string): number | bigint | undefined {
  return /^(0|-?[1-9][0-9]*)$/.test(text) ? exactInteger(BigInt(text)) : undefined;
}

/**
 * A regular expression for the decimal digits of the whole numbers from `least`, which is below 0, to `most`, without zeros
 * in front. JSON Schema has no other way to bound a number that is text.
 */
export function integerPattern(least: bigint, most: bigint): string {
  return `^(0|${positivePattern(most)}|-(${positivePattern(-least)}))$`;
}

/** From 1 to `most`: fewer digits, or as many of which the first that differs is smaller, or `most` itself. */
function positivePattern(most: bigint): string {
  const digits = most.toString();
  const anyDigits = (count: number) => (count === 0 ? "" : `[0-9]{${count}}`);
  const smaller = [...digits].flatMap((digit, index) => {
    const lowest = index === 0 ? 1 : 0;
    const rest = anyDigits(digits.length - index - 1);
    return Number(digit) > lowest ? [`${digits.slice(0, index)}[${lowest}-${Number(digit) - 1}]${rest}`] : [];
  });
  const fewer = digits.length === 1 ? [] : [`[1-9][0-9]{0,${digits.length - 2}}`];
  return [...fewer, ...smaller, digits].join("|");
}
