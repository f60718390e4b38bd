/** When is sharp loaded, and what is said where it does not start? It is loaded with the first picture that is read or written. */
import { StillmotionError } from "../../errors.ts";

export type Sharp = typeof import("sharp").default;

/** @throws StillmotionError `unsupported` when the package or its binaries are missing */
export async function importSharp(): Promise<Sharp> {
  const { requireInstalled } = await import("../installed-package.ts");
  try {
    return requireInstalled("sharp") as Sharp;
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    const reason = error instanceof Error ? error.message.trim().split("\n")[0] : String(error);
    throw new StillmotionError(
      "unsupported",
      `the package sharp, which reads and writes pictures, does not start here: ${reason}; ` +
        "run `npm install --include=optional sharp`, or make images yourself with createImage",
      { cause: error },
    );
  }
}
