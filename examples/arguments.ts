/** What do all examples take? `node examples/NAME.ts [IMAGE [MODEL [SETTINGS]]]`, with settings as JSON: `'{"width":256}'`. */
import { join } from "node:path";
import type { GenerateSettings } from "stillmotion";

const [image, folder, json] = process.argv.slice(2);

/** The picture: a path or a URL. */
export const imagePath = image ?? join(import.meta.dirname, "photos", "lake-sherburne.jpg");

/** A checkpoint: a folder, a single file or a name on the hub. Default: the small one that comes with stillmotion. */
export const model = folder ?? join(import.meta.dirname, "..", "models", "tiny");

/** Settings that go before those of the example, e.g. a smaller size. */
export const settings: GenerateSettings = JSON.parse(json ?? "{}");
