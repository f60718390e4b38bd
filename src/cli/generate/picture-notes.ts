/** How does the command read a picture, and what does it say of it? As viewers show it, with a note where that makes another picture. */
import type { LoadImageOptions, Picture } from "../../node/image/open-picture.ts";

/** The command's defaults. Those of the library are the reference's, which takes values as they are. */
export const pictureOptions = { colorProfile: "srgb", background: "white" } as const satisfies LoadImageOptions;

/** Sentences that begin with the picture's name. */
export function pictureNotes({ colors, putOver }: Picture): string[] {
  const notes: string[] = [];
  if (colors) {
    notes.push(
      colors.problem === undefined
        ? `has ${colors.name}, brought to sRGB; --color-profile ignore keeps its values`
        : `has ${colors.name}, ignored: ${colors.problem}`,
    );
  }
  if (putOver !== undefined) notes.push(`is transparent in places, put over ${putOver}; --background to choose`);
  return notes;
}
