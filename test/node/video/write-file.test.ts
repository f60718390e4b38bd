import { execFileSync, spawnSync } from "node:child_process";
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { checkWritable, writeFileAtomically, writeFilesAtomically } from "../../../src/node/video/write-file.ts";
import { expectError, temporaryFolder } from "../../video/test-clip.ts";

const bytes = Uint8Array.from([1, 2, 3]);

/** Runs `writeFileAtomically(path, 1 MB)` in a shell that has made things difficult, and gives what it printed. */
function writeInShell(setup: string, path: string, shell: readonly [string, ...string[]] = ["bash"]): string {
  const module = pathToFileURL(join(import.meta.dirname, "../../../src/node/video/write-file.ts")).href;
  const script = `
    const { writeFileAtomically } = await import(${JSON.stringify(module)});
    await writeFileAtomically(${JSON.stringify(path)}, new Uint8Array(1e6))
      .then(() => console.log("written"), (error) => console.log(error.code + ": " + error.message));
    const { readdirSync } = await import("node:fs");
    console.log("left: " + readdirSync(${JSON.stringify(dirname(path))}).join());`;
  const node = `exec "$0" --experimental-strip-types --no-warnings --input-type=module -e "$1"`;
  const [program, ...programArguments] = shell;
  return execFileSync(program, [...programArguments, "-c", `${setup} && ${node}`, process.execPath, script]).toString();
}

const canMount = spawnSync("unshare", ["-Urm", "true"]).status === 0;

describe("writeFileAtomically", () => {
  it("writes a new file and replaces an old one, leaving nothing else", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "clip.mp4");
    await writeFileAtomically(path, new Uint8Array(10));
    await writeFileAtomically(path, bytes);
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(folder)).toEqual(["clip.mp4"]);
  });

  it("writes through a symbolic link", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "there"));
    await writeFile(join(folder, "there", "real.mp4"), "old");
    await symlink(join("there", "real.mp4"), join(folder, "link.mp4"));
    await writeFileAtomically(join(folder, "link.mp4"), bytes);
    expect([...(await readFile(join(folder, "there", "real.mp4")))]).toEqual([1, 2, 3]);
    expect((await readdir(folder)).sort()).toEqual(["link.mp4", "there"]);
  });

  it("writes through a symbolic link to a file that is not there yet, or names the folder that is missing there", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "there"));
    await symlink(join("there", "real.mp4"), join(folder, "link.mp4"));
    await writeFileAtomically(join(folder, "link.mp4"), bytes);
    expect([...(await readFile(join(folder, "there", "real.mp4")))]).toEqual([1, 2, 3]);
    expect((await lstat(join(folder, "link.mp4"))).isSymbolicLink()).toBe(true);

    await symlink(join("gone", "real.mp4"), join(folder, "astray.mp4"));
    const write = () => writeFileAtomically(join(folder, "astray.mp4"), bytes);
    await expectError(write, "output", /astray\.mp4: the folder .*gone does not exist; create it/);
    expect((await lstat(join(folder, "astray.mp4"))).isSymbolicLink()).toBe(true);
  });

  it("names a missing folder, a folder in place of the file, a file in place of the folder", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    const write = (path: string) => () => writeFileAtomically(path, bytes);
    await expectError(
      write(join(folder, "no", "a.mp4")),
      "output",
      /a\.mp4: the folder .*no does not exist; create it/,
    );
    await expectError(write(folder), "output", /is a folder, expected a file name/);
    await expectError(write(join(folder, "file", "a.mp4")), "output", /file is not a folder/);
    await expectError(write(join(folder, `${"x".repeat(300)}.mp4`)), "output", /name is too long/);
    expect(await readdir(folder)).toEqual(["file"]);
  });

  it.skipIf(process.platform === "win32")("does not replace a device", async () => {
    await expectError(() => writeFileAtomically("/dev/null", bytes), "output", /not a regular file/);
    expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  });

  it.skipIf(process.platform === "win32" || process.getuid?.() === 0)("names a read-only folder", async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o555);
    await expectError(() => writeFileAtomically(join(folder, "a.mp4"), bytes), "output", /no permission to write in/);
    await expectError(() => checkWritable(join(folder, "a.mp4")), "output", /no permission to write in/);
    await chmod(folder, 0o755);
  });

  it.skipIf(process.platform === "win32")("leaves nothing behind when the system stops it midway", async () => {
    const folder = await temporaryFolder();
    const printed = writeInShell("trap '' XFSZ && ulimit -f 100", join(folder, "clip.mp4"));
    expect(printed).toMatch(/^output: .*clip\.mp4: a file of 1\.0 MB is larger than this system allows/);
    expect(printed).toMatch(/left: \n$/);
  });

  it.skipIf(!canMount).each([
    ["full", "size=64k", /^output: .*clip\.mp4: no space left for 1\.0 MB; free some/],
    ["read-only", "ro", /^output: .*clip\.mp4: .* is on a read-only file system/],
  ])("says when the disk is %s, and leaves nothing behind", async (_, options, message) => {
    const folder = await temporaryFolder();
    const mount = `mount -t tmpfs -o ${options} tmpfs ${folder}`;
    const printed = writeInShell(mount, join(folder, "clip.mp4"), ["unshare", "-Urm", "bash"]);
    expect(printed).toMatch(message);
    expect(printed).toMatch(/left: \n$/);
  });

  it("writes nothing after the signal", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "a.mp4");
    await expectError(() => writeFileAtomically(path, bytes, { signal: AbortSignal.abort() }), "aborted", /aborted/);
    expect(await readdir(folder)).toEqual([]);
  });

  it("removes what it has written when the signal fires midway", async () => {
    const folder = await temporaryFolder();
    const controller = new AbortController();
    const writing = writeFileAtomically(join(folder, "a.mp4"), new Uint8Array(2e8), { signal: controller.signal });
    while ((await readdir(folder)).length === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await expectError(() => writing, "aborted", /aborted/);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("writeFilesAtomically", () => {
  it("writes all or none", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "b.png"));
    const files = ["a.png", "b.png"].map((name) => ({ path: join(folder, name), bytes }));
    await expectError(() => writeFilesAtomically(files), "output", /b\.png: is a folder/);
    expect(await readdir(folder)).toEqual(["b.png"]);
  });
});
