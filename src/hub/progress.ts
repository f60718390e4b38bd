/** What does a download tell as it goes? Events in the shapes of transformers.js. */

/**
 * One moment of a download. `name` is the repository, `file` a path in it; `loaded` and `total` are bytes. Each file that is
 * missing has an `initiate`, a `download`, several `progress` and a `done`; `ready` comes once, at the end, also where nothing
 * was missing.
 */
export type DownloadEvent =
  | { readonly status: "initiate"; readonly name: string; readonly file: string; readonly total: number }
  | { readonly status: "download"; readonly name: string; readonly file: string }
  | {
      readonly status: "progress";
      readonly name: string;
      readonly file: string;
      /** 0 to 100. */
      readonly progress: number;
      readonly loaded: number;
      readonly total: number;
    }
  | { readonly status: "done"; readonly name: string; readonly file: string }
  | { readonly status: "ready"; readonly name: string; readonly task: "image-to-video"; readonly model: string };

/** At most one event in this time for each file. */
const intervalMs = 100;

/** Turns a file's counts of bytes into events. The last one is never left out. */
export function progressOf(
  name: string,
  file: string,
  total: number,
  emit: (event: DownloadEvent) => void,
): (loaded: number) => void {
  let lastAt = Number.NEGATIVE_INFINITY;
  return (loaded) => {
    const now = performance.now();
    if (loaded < total && now - lastAt < intervalMs) return;
    lastAt = now;
    emit({ status: "progress", name, file, progress: total === 0 ? 100 : (100 * loaded) / total, loaded, total });
  };
}
