/** What does an error of Node's file system mean? */

/** True when the path, or a folder on its way, does not exist. */
export function isMissing(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** `ENOENT: no such file or directory`, without the system call and path that Node appends. */
export function fileSystemReason(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/, \w+( '.*)?$/s, "") : String(cause);
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
}
