/** How does the command take a picture, and what does it say of it? As people see it elsewhere, with a line where that counts. */
import type { LoadImageOptions, Picture } from "../../node/image/open-picture.ts";

/** Where no flag says otherwise. The library's own defaults are the reference's, which sees values and not colours. */
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
