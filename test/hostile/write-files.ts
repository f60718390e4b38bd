/** How does the official reader, in Python, get at the hostile files? Written out, each under its name: `node write-files.ts FOLDER`. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hostileFiles } from "./safetensors.ts";

const folder = process.argv[2]!;
for (const [name, { bytes }] of Object.entries(hostileFiles)) await writeFile(join(folder, name), bytes);
