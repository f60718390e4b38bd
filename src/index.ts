/** What does stillmotion export? The public API and nothing else. */
export type { Device } from "./engine/device.ts";
export type {
  DeviceTensor,
  Engine,
  EngineMemory,
  LoadOptions,
  MemoryPool,
  Model,
  RunOptions,
  RunResults,
  Session,
  Workspace,
  WorkspaceSize,
} from "./engine/engine.ts";
export {
  type ErrorCode,
  type Message,
  type NamedCall,
  type NamedOption,
  StillmotionError,
  type Word,
} from "./errors.ts";
export type { Plan, PoolPlan, StagePlan } from "./estimate/plan.ts";
export type { HubOptions } from "./hub/hub-options.ts";
export type { DownloadEvent } from "./hub/progress.ts";
export { type Fit, type FitOptions, fitImage } from "./image/fit.ts";
export { createImage, type Image } from "./image/image.ts";
export { type Box, type ResizeOptions, resizeImage } from "./image/resize.ts";
export type { ResizeFilter } from "./image/resize-filters.ts";
export type { Dtype, WeightStorage } from "./lowering/lowerings.ts";
export { loadImage } from "./node/image/load-image.ts";
export { type ColorProfile, type LoadImageOptions, loadImageDefaults } from "./node/image/open-picture.ts";
export type { ImageSource } from "./node/image/read-source.ts";
export { StableVideoDiffusionPipeline } from "./node/stable-video-diffusion.ts";
export { type ExportOptions, exportToVideo } from "./node/video/export.ts";
export { type ClipMetadata, readClipMetadata } from "./node/video/read-metadata.ts";
export type { NamedWeight, StoredWeight } from "./onnx/stored-weight.ts";
export type { FloatWeight, Int8Matrix, Int8Rows, MadeTensor, PreparedWeight, TapSums } from "./onnx/weight-recipes.ts";
export type { Frames, GenerateOptions, GenerateResult } from "./options/generate-call.ts";
export { type GenerateSettings, generateDefaults } from "./options/generate-options.ts";
export { type FromPretrainedOptions, loadDefaults, type Offload } from "./options/load-options.ts";
export type { LoraSource } from "./options/loras.ts";
export {
  generateJsonSchema,
  type JsonSeed,
  type SettingsJson,
  settingsFromJson,
  settingsOfClip,
  settingsToJson,
} from "./options/options-json.ts";
export type { Preset, PresetName } from "./options/presets.ts";
export type { OutputType, PythonSpelling, Settings } from "./options/resolve-settings.ts";
export type { DenoiseStep, OnStep } from "./pipeline/denoise-step.ts";
export type { ProgressEvent, Stage } from "./pipeline/progress.ts";
export type { Platform } from "./pipeline/stable-video-diffusion.ts";
export type { Scratch, ScratchSpace } from "./streaming/scratch.ts";
export type { DataType, FloatTensor, Tensor, TensorData } from "./tensor.ts";
export type { ClipData } from "./video/clip.ts";
export type { Checkpoint, Component, JsonObject, LowRankProduct, WeightEntry } from "./weights/types.ts";
