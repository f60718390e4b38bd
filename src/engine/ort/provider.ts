/** What is an execution provider of ONNX Runtime, and how does a session get one? */
import { StillmotionError } from "../../errors.ts";
import { availableProviders, type Handle, type OrtApi, withWhat } from "./api.ts";

export interface OrtProvider {
  /** As `GetAvailableProviders` names it. */
  readonly name: string;
  /** Its own options, as ONNX Runtime's documentation names them. Default: none. */
  readonly options?: Readonly<Record<string, string>> | undefined;
  /** Its memory, as `OrtMemoryInfo` names it: `Cuda`, `WebGPU_Buffer`. Default: the host's. */
  readonly memory?: string | undefined;
  /**
   * Whether a session must be made by the thread that runs it. Default: false, sessions with prepared weights are made by the threads
   * that work the weights out.
   */
  readonly isThreadBound?: boolean | undefined;
}

/** The one that every library has. */
export const cpuProvider: OrtProvider = { name: "CPUExecutionProvider" };

/**
 * Puts the provider before the CPU's, which every session has.
 *
 * @throws StillmotionError `unsupported` for a provider that the library does not have, `engine` for options that it refuses
 */
export function appendProvider(api: OrtApi, sessionOptions: Handle, { name, options = {} }: OrtProvider): void {
  const [keys, values] = [Object.keys(options), Object.values(options)];
  if (name === cpuProvider.name) {
    if (keys.length === 0) return;
    throw new StillmotionError("engine", `${name} takes no options, got ${keys.join(", ")}`);
  }
  if (!availableProviders(api).includes(name)) {
    throw new StillmotionError("unsupported", `${api.libraryPath} has no ${name}`);
  }
  try {
    if (name === "CUDAExecutionProvider") appendCuda(api, sessionOptions, keys, values);
    else if (name === "TensorrtExecutionProvider") appendTensorRt(api, sessionOptions, keys, values);
    else api.SessionOptionsAppendExecutionProvider(sessionOptions, name, keys, values, keys.length);
  } catch (error) {
    throw withWhat(error, name);
  }
}

function appendCuda(api: OrtApi, sessionOptions: Handle, keys: readonly string[], values: readonly string[]): void {
  const options = api.CreateCUDAProviderOptions();
  try {
    api.UpdateCUDAProviderOptions(options, keys, values, keys.length);
    api.SessionOptionsAppendExecutionProvider_CUDA_V2(sessionOptions, options);
  } finally {
    api.ReleaseCUDAProviderOptions(options);
  }
}

function appendTensorRt(api: OrtApi, sessionOptions: Handle, keys: readonly string[], values: readonly string[]): void {
  const options = api.CreateTensorRTProviderOptions();
  try {
    api.UpdateTensorRTProviderOptions(options, keys, values, keys.length);
    api.SessionOptionsAppendExecutionProvider_TensorRT_V2(sessionOptions, options);
  } finally {
    api.ReleaseTensorRTProviderOptions(options);
  }
}
