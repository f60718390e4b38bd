/** How is a component's config.json checked? One reader for all networks, with the file and the key in the message. */
import { z } from "zod";
import { StillmotionError } from "../errors.ts";

/** A whole number of at least one. */
export const count = z.int().min(1);

/** How many layers follow each other. A number that no network has is refused before a graph of that size is written. */
export const layerCount = count.max(256);

/** The widths of a network's levels; each halves the picture. */
export const levelWidths = z.array(count.multipleOf(32)).min(1).max(16);

/** Reads `config` by a schema whose defaults are those of the reference's constructors. Unknown keys are left alone. */
export function parseConfig<Schema extends z.ZodType>(
  where: string,
  schema: Schema,
  config: unknown,
): z.output<Schema> {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const got = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], config);
    return `${issue.path.join(".") || "it"} is ${JSON.stringify(got) ?? "missing"}: ${issue.message}`;
  });
  throw new StillmotionError("invalid-checkpoint", `${where}/config.json: ${problems.join("; ")}`);
}

/** The value of each level, from one for all levels or a list with one for each. */
export function perLevel<T>(where: string, key: string, value: T | readonly T[], levels: number): T[] {
  if (!Array.isArray(value)) return Array.from({ length: levels }, () => value as T);
  if (value.length !== levels) {
    throw new StillmotionError(
      "invalid-checkpoint",
      `${where}/config.json: ${key} has ${value.length} entries, expected ${levels}, one for each of block_out_channels`,
    );
  }
  return value as T[];
}
