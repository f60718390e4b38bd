/** How would a browser give files to the readers of weights? As blobs by their paths, as a page holds what a person drops on it. */
import type { FileSource } from "../../src/weights/file-source.ts";

/** @param blobs by paths such as `svd/unet/config.json` */
export function blobFiles(blobs: ReadonlyMap<string, Blob>): FileSource {
  const below = (folder: string) => [...blobs.keys()].filter((path) => path.startsWith(`${folder}/`));
  const missing = () => new DOMException("there is no such file", "NotFoundError");
  const look: FileSource["look"] = async (path) => {
    const blob = blobs.get(path);
    if (blob) return { kind: "file", sizeBytes: blob.size };
    if (below(path).length === 0) throw missing();
    return { kind: "folder", sizeBytes: 0 };
  };
  const placeOf: FileSource["placeOf"] = (path) => {
    const end = path.lastIndexOf("/");
    return { folder: path.slice(0, Math.max(0, end)), name: path.slice(end + 1) };
  };
  return {
    look,
    async list(folder) {
      const paths = below(folder);
      if (paths.length === 0) throw missing();
      return [...new Set(paths.map((path) => path.slice(folder.length + 1).split("/", 1)[0]!))];
    },
    async realPlace(path) {
      if (!blobs.has(path)) throw missing();
      return placeOf(path);
    },
    async open(path) {
      const content = await look(path);
      return {
        ...content,
        async read(into, offset) {
          const bytes = await blobs
            .get(path)!
            .slice(offset, offset + into.length)
            .bytes();
          into.set(bytes);
          return bytes.length;
        },
        close: async () => {},
      };
    },
    join: (folder, ...names) => [folder, ...names].filter((step) => step !== "").join("/"),
    placeOf,
    problemOf(cause) {
      const { name, message } = cause as DOMException;
      return { isMissing: name === "NotFoundError", reason: message };
    },
  };
}
