/** How is one request made to the hub? Redirects are followed by hand, so that the token and the encryption stay where they belong. */
import { message, option, StillmotionError, throwIfAborted } from "../errors.ts";
import { printable } from "../printable.ts";
import { hubError, TransientHubError } from "./hub-errors.ts";

/** How the hub is reached. */
export interface HubAccess {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof globalThis.fetch;
  readonly signal: AbortSignal | undefined;
  /** The pause before the second try; it doubles each time. */
  readonly retryDelayMs: number;
  /** A connection that brings nothing for this long counts as dropped. */
  readonly stallTimeoutMs: number;
}

/** An answer whose body is still to be read, with `received` called for each piece and `close` at the end. */
export interface HubAnswer {
  readonly response: Response;
  /** The host that gave it, for messages. */
  readonly host: string;
  /** False for a file store that the hub sent us to. */
  readonly isHub: boolean;
  /** Headers of the hub's own answer, where that was a redirect to a file store. */
  readonly hubHeaders: Headers;
  received(): void;
  close(): void;
}

const maxRedirects = 5;

/** Checks the address of a hub. Throws `invalid-option`. */
export function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  if (isPlain) return url.href.replace(/\/+$/, "");
  throw new StillmotionError(
    "invalid-option",
    message`${option("endpoint")} is ${printable(endpoint)}, expected the hub's address such as https://huggingface.co`,
  );
}

/**
 * Sends a GET. `headersFor` gives the headers for a host, the token is added for the hub's own.
 *
 * @param what is asked for, in messages
 */
export async function requestFromHub(
  hub: HubAccess,
  url: string,
  what: string,
  headersFor: (isHub: boolean) => Record<string, string> = () => ({}),
): Promise<HubAnswer> {
  const endpoint = new URL(hub.endpoint);
  const stall = stallWatch(hub.stallTimeoutMs);
  const signal = hub.signal ? AbortSignal.any([hub.signal, stall.signal]) : stall.signal;
  let at = new URL(url);
  let hubHeaders: Headers | undefined;
  try {
    for (let redirects = 0; ; redirects++) {
      const isHub = at.origin === endpoint.origin;
      const headers: Record<string, string> = {
        ...headersFor(isHub),
        "accept-encoding": "identity",
        "user-agent": "stillmotion",
      };
      if (isHub && hub.token !== undefined) headers.authorization = `Bearer ${hub.token}`;
      const response = await hub.fetch(at, { headers, redirect: "manual", signal });
      if (isHub) hubHeaders = response.headers;
      const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
      if (location === null) {
        stall.received();
        const { host } = at;
        return { response, host, isHub, hubHeaders: hubHeaders!, received: stall.received, close: stall.stop };
      }
      await response.body?.cancel();
      if (redirects === maxRedirects)
        throw hubError(`${what}: more than ${maxRedirects} redirects, the last to ${at.host}`);
      at = redirectTarget(location, at, endpoint, what);
    }
  } catch (cause) {
    stall.stop();
    throw connectionError(cause, hub, what, at.host);
  }
}

/** The error for what `fetch` or the reading of a body threw. */
export function connectionError(cause: unknown, hub: HubAccess, what: string, host: string): unknown {
  throwIfAborted(hub.signal);
  if (cause instanceof StillmotionError) return cause;
  return new TransientHubError(`${what}: ${host}: ${connectionReason(cause)}; check the network and run it again`, {
    cause,
  });
}

/** Tries until it works, the error is final, or `maxTries` tries in a row brought nothing. */
export async function withRetries<Result>(
  { signal, retryDelayMs }: Pick<HubAccess, "signal" | "retryDelayMs">,
  attempt: () => Promise<Result>,
  { maxTries = 5, gained = () => false }: { maxTries?: number; gained?: () => boolean } = {},
): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(signal);
      if (gained()) tries = 1;
      if (!(error instanceof TransientHubError) || tries >= maxTries) throw error;
      const backoffMs = retryDelayMs * 2 ** (tries - 1) * (1 + Math.random() / 4);
      const pauseMs = error.retryAfterMs ?? backoffMs;
      if (pauseMs > longestPauseMs) throw error;
      await pause(pauseMs, signal);
    }
  }
}

/** A hub that wants more patience than this is asked again by the person, whom the error tells the time. */
const longestPauseMs = 60_000;

function redirectTarget(location: string, from: URL, endpoint: URL, what: string): URL {
  const target = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (!target || !/^https?:$/.test(target.protocol)) {
    throw hubError(`${what}: ${from.host} redirects to ${printable(location)}, expected an http(s) address`);
  }
  if (target.protocol === "http:" && endpoint.protocol === "https:") {
    throw hubError(`${what}: ${from.host} redirects to ${target.host} without encryption (http), which is refused`);
  }
  return target;
}

/** Fires when nothing was received for the time. */
function stallWatch(timeoutMs: number) {
  const controller = new AbortController();
  const fire = () => controller.abort(new Error(`nothing came for ${timeoutMs / 1000} s`));
  let timer = setTimeout(fire, timeoutMs);
  return {
    signal: controller.signal,
    received() {
      clearTimeout(timer);
      timer = setTimeout(fire, timeoutMs);
    },
    stop: () => clearTimeout(timer),
  };
}

/** The innermost reason: `fetch failed` alone says nothing. */
function connectionReason(cause: unknown): string {
  let error = cause;
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  if (!(error instanceof Error)) return `the connection failed (${String(error)})`;
  const { code } = error as { readonly code?: unknown }; // Node's fetch has one
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host cannot be found: is there a network?";
    case "ECONNREFUSED":
      return "the connection was refused";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return "the connection was dropped";
    default:
      return `the connection failed (${printable(error.message || String(code))})`;
  }
}

/** Waits, or throws `aborted` at once when the signal fires. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((done) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      done();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener("abort", finish);
    if (signal?.aborted) finish();
  });
  throwIfAborted(signal);
}
