/** What can be said of the hub: which revision, whose token, how long to wait? */
import type { DownloadEvent } from "./progress.ts";

/** Options of everything that asks the hub. */
export interface HubOptions {
  /** A branch, a tag or a commit of the hub's repository. Default: `main`. */
  readonly revision?: string | undefined;
  /** Use what is in the cache and ask nobody. Default: false. */
  readonly localFilesOnly?: boolean | undefined;
  /** Default: `https://huggingface.co`. */
  readonly endpoint?: string | undefined;
  /** Sent to the endpoint's host and to no other. Default: none. */
  readonly token?: string | undefined;
  /** The Hugging Face cache. Default: `~/.cache/huggingface/hub`. */
  readonly cacheFolder?: string | undefined;
  /** Ends the download; what has arrived is continued by the next call. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: DownloadEvent) => void) | undefined;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Before the second try of a request that failed; each further pause is twice as long. Default: 500. */
  readonly retryDelayMs?: number | undefined;
  /** A connection that brings nothing for this long is made anew. Default: 30000. */
  readonly stallTimeoutMs?: number | undefined;
}
