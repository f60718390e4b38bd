/** How is an axis cut into parts that are all about as long, or into equal ones? */
export function evenParts(length: number, count: number): { start: number; end: number }[] {
  const edge = (part: number) => Math.floor((part * length) / count);
  return Array.from({ length: count }, (_, part) => ({ start: edge(part), end: edge(part + 1) }));
}

/** The smallest divisor of `total` that is at least `minimum`: a number of equal parts. */
export function divisorFrom(minimum: number, total: number): number {
  let divisor = minimum;
  while (total % divisor !== 0) divisor++;
  return divisor;
}
