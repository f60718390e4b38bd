/** What does it mean when the hub refuses, and what can be done? One sentence for each case. */
import { type Message, message, option, StillmotionError } from "../errors.ts";
import { printable } from "../printable.ts";

/** Where the person is sent for licences and tokens. */
const website = "https://huggingface.co";

/** A failure that another try may mend. */
export class TransientHubError extends StillmotionError {
  /** What the hub asked for, if anything. */
  readonly retryAfterMs: number | undefined;

  constructor(said: Message, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super("download", said, options.cause === undefined ? {} : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A refusal of the hub that shows that it has the model. */
export class KnownModelError extends StillmotionError {
  constructor(said: Message) {
    super("download", said);
  }
}

export function hubError(said: Message, cause?: unknown): StillmotionError {
  return new StillmotionError("download", said, cause === undefined ? {} : { cause });
}

/** What was asked for. */
export interface Asked {
  readonly repository: string;
  readonly revision: string;
  /** A path in the repository; undefined for its list of files. */
  readonly file?: string;
  readonly hasToken: boolean;
  /** False where a file store answered that the hub redirects to. */
  readonly isHub: boolean;
}

/** The error for an answer that is no success. `headers` of the last answer tell 401s and 404s apart. */
export function statusError(status: number, headers: Headers, host: string, asked: Asked): StillmotionError {
  const { repository, revision, file, hasToken, isHub } = asked;
  const what = file === undefined ? repository : `${repository}: ${printable(file)}`;
  const code = headers.get("x-error-code");
  const reason = headers.get("x-error-message");
  const said = `${host} answered ${status}${reason ? ` (${printable(reason)})` : ""}`;
  if (code === "GatedRepo") return new KnownModelError(gatedText(asked));
  if (code === "RevisionNotFound") {
    const advice = "give a branch, a tag or a commit that it has";
    return new KnownModelError(`${repository}: has no revision ${revision}; ${advice}`);
  }
  if (code === "EntryNotFound") return hubError(`${what} does not exist at revision ${revision}`);
  if (!isHub && (status === 401 || status === 403)) {
    return new TransientHubError(`${what}: the file store ${said}; run it again for a new address`);
  }
  switch (status) {
    case 401:
      if (hasToken && code !== "RepoNotFound") {
        return hubError(`${what}: ${said}: the token is not accepted; make a new one at ${website}/settings/tokens`);
      }
      return hubError(notFoundText(what, said, hasToken));
    case 403: {
      const mend = hasToken ? "and check that the token may read it" : message`then ${tokenAdvice}`;
      return hubError(
        message`${what}: ${said}: access is forbidden; if the model is gated, accept its licence at ${website}/${repository}, ${mend}`,
      );
    }
    case 404:
      return hubError(
        file === undefined ? notFoundText(what, said, hasToken) : `${what}: ${said}: the file is not there any more`,
      );
    case 416:
      return new TransientHubError(`${what}: ${said}: it does not have the part that is missing here; try again later`);
    case 429: {
      const retryAfterMs = retryAfter(headers);
      const wait = retryAfterMs === undefined ? "later" : `in ${Math.ceil(retryAfterMs / 1000)} s`;
      const advice = hasToken ? "" : "; requests with a token are allowed more often";
      return new TransientHubError(`${what}: ${said}: too many requests; try again ${wait}${advice}`, { retryAfterMs });
    }
  }
  if (status >= 500) {
    const retryAfterMs = retryAfter(headers);
    return new TransientHubError(`${what}: ${said}: the hub has trouble; try again later`, { retryAfterMs });
  }
  return hubError(`${what}: ${said}, expected the ${file === undefined ? "list of its files" : "file"}`);
}

const tokenAdvice = message`give a token of that account, as HF_TOKEN or as the option ${option("token")}`;

function gatedText({ repository, hasToken }: Asked): Message {
  const page = `${website}/${repository}`;
  return hasToken
    ? `${repository} is gated, and the account of this token has no access: open ${page} with that account and accept the licence; the token itself needs the right to read gated repositories`
    : message`${repository} is gated: open ${page}, accept the licence, then ${tokenAdvice} (made at ${website}/settings/tokens)`;
}

function notFoundText(what: string, said: string, hasToken: boolean): Message {
  const access = hasToken ? "the token does not reach it" : message`it is private: then ${tokenAdvice}`;
  return message`${what}: ${said}: there is no such model, or ${access}; check the spelling`;
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (!text) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
