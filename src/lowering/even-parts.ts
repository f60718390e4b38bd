/** How is an axis cut into parts that are all about as long? */
export function evenParts(length: number, count: number): { start: number; end: number }[] {
  const edge = (part: number) => Math.floor((part * length) / count);
  return Array.from({ length: count }, (_, part) => ({ start: edge(part), end: edge(part + 1) }));
}
