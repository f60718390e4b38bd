/** How are native functions called? By koffi as it is installed: its own native part would be missing in a bundle. */
import type { default as Koffi } from "koffi";
import { requireInstalled } from "../../node/installed-package.ts";

export const koffi = requireInstalled("koffi") as typeof Koffi;
