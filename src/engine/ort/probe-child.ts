/** The process that tries one execution provider, told which by its parent. */
import { openOrtApi } from "./api.ts";
import type { ProbeQuestion } from "./probe.ts";
import { cpuProvider } from "./provider.ts";
import { createSession, startRuntime } from "./session.ts";

process.once("message", ({ libraryPath, provider, model }: ProbeQuestion) => {
  try {
    const api = openOrtApi(libraryPath);
    const sessionOptions = api.CreateSessionOptions();
    // Without this, operators that the provider refuses would go to the CPU and the session would start all the same.
    const fallback = provider === cpuProvider.name ? "0" : "1";
    api.AddSessionConfigEntry(sessionOptions, "session.disable_cpu_ep_fallback", fallback);
    createSession(startRuntime(api), {
      name: provider,
      bytes: model,
      weightsFolder: undefined,
      provider: { name: provider },
      threads: 1,
      sessionOptions,
    });
    process.send?.({});
  } catch (error) {
    process.send?.({ failure: error instanceof Error ? error.message : String(error) });
  }
});
