/** Which file names from a JSON file may become a path? Plain ones: what POSIX and Windows both keep inside the folder. */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";

const windowsDevice = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)/i;
const refusedCharacters = /[/\\:*?"<>|\p{Cc}]/u;

/**
 * Throws `invalid-checkpoint` unless `name` is the name of a file in the folder it is joined to.
 *
 * @param where the file that holds the name
 */
export function assertPlainFileName(name: string, where: string): void {
  const isPlain =
    name !== "" &&
    name.length <= 255 &&
    !refusedCharacters.test(name) &&
    !/[. ]$/.test(name) &&
    !windowsDevice.test(name);
  if (isPlain) return;
  throw new StillmotionError(
    "invalid-checkpoint",
    `${where}: names the file ${printable(name)}, expected a plain file name in the same folder`,
  );
}
