/** Who competes? Diffusers in its forms and we in ours, each with how far its results may lie from diffusers in fp32, eager. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Contestant } from "./contest.ts";
import type { BenchOptions } from "./options.ts";
import { runForJson } from "./process.ts";

/** Each has programs of the same names: bench/NAME-stillmotion.ts and reference/bench/NAME.py. */
type Program = "unet" | "decode" | "clip";

export interface Side {
  readonly name: string;
  readonly isOurs: boolean;
  readonly dtype: "fp32" | "bf16" | "int8";
  /** Of ours: what the UNet's weights are in memory. Default: as the library has it. */
  readonly weightStorage?: "fp32" | "int8";
  /** By torch.compile with its default backend, inductor. */
  readonly isCompiled?: boolean;
}

/** The first is what all others must agree with. */
const sides: readonly Side[] = [
  { name: "diffusers eager fp32", isOurs: false, dtype: "fp32" },
  { name: "diffusers eager bf16", isOurs: false, dtype: "bf16" },
  { name: "diffusers compiled fp32", isOurs: false, dtype: "fp32", isCompiled: true },
  { name: "diffusers compiled bf16", isOurs: false, dtype: "bf16", isCompiled: true },
  { name: "stillmotion fp32", isOurs: true, dtype: "fp32" },
  { name: "stillmotion fp32 with fp32 weights", isOurs: true, dtype: "fp32", weightStorage: "fp32" },
  { name: "stillmotion fp32 with int8 weights", isOurs: true, dtype: "fp32", weightStorage: "int8" },
  { name: "stillmotion int8", isOurs: true, dtype: "int8" },
];

/**
 * Of a side's results, relative L2 to diffusers in fp32, eager. fp32: sums in another order differ by about 1e-6. bf16 keeps 8
 * bits of a number: every operation rounds by up to 0.4 %. int8: one scale for a map, as in test/models/unet.int8.test.ts.
 */
const tolerances: Readonly<Record<Side["dtype"], number>> = { fp32: 1e-4, bf16: 5e-2, int8: 1e-1 };

export interface Entrants {
  readonly contestants: readonly Contestant[];
  /** Who could not compete, and why, in a line for the report; empty when all could. */
  readonly absent: string;
}

/** What the programs of a contest are told. */
export interface Call {
  readonly program: Program;
  readonly checkpoint: string;
  readonly inputsFile: string;
  /** After the warm-up. */
  readonly runs: number;
  /** Of the first side where the options do not name it. Default: as many. */
  readonly runsToAgreeWith?: number;
  /** Further arguments. */
  readonly more?: readonly string[];
}

/** The sides that were asked for, as contestants: the first of all, and those that `takesPart` and the options let in. */
export async function entrants(
  options: BenchOptions,
  call: Call,
  takesPart: (side: Side) => boolean = () => true,
): Promise<Entrants> {
  const wanted = sides.filter(
    (side, index) => index === 0 || (takesPart(side) && (options.sides?.includes(side.name) ?? true)),
  );
  // Every contest starts with nothing compiled: its first round shows what compiling takes.
  await rm(compilerCache(options.scratchFolder), { recursive: true, force: true });
  const problem = wanted.some(({ isCompiled }) => isCompiled) ? await compilerProblem(options) : undefined;
  const able = wanted.filter(({ isCompiled }) => !(isCompiled && problem));
  const toleranceOf = ({ dtype, weightStorage }: Side) => tolerances[weightStorage ?? dtype];
  const isUnnamed = options.sides !== undefined && !options.sides.includes(sides[0]!.name);
  const { runs, runsToAgreeWith = runs } = call;
  const contestants = able.map((side, index) => {
    const own = { ...call, runs: index === 0 && isUnnamed ? runsToAgreeWith : runs };
    return { ...asContestant(options, side, own), tolerance: toleranceOf(side) };
  });
  const absent = problem ? `\nWithout the compiled sides, as torch.compile does not work here: ${problem}` : "";
  return { contestants, absent };
}

/** Names that `--sides` takes. */
export const sideNames: readonly string[] = sides.map(({ name }) => name);

/** A side as a program that measures itself. */
export function asContestant(options: BenchOptions, side: Side, call: Call): Contestant {
  const { scratchFolder, python, threads } = options;
  const { name, isOurs, dtype, isCompiled, weightStorage } = side;
  const outputFile = join(scratchFolder, "result.safetensors");
  const args = [
    ...[call.checkpoint, call.inputsFile, outputFile],
    ...["--threads", String(threads), "--runs", String(call.runs), "--dtype", dtype],
    ...(call.more ?? []),
  ];
  if (isOurs) {
    const program = join("bench", `${call.program}-stillmotion.ts`);
    const weights = weightStorage ? ["--weight-storage", weightStorage] : [];
    return { name, outputFile, program: process.execPath, args: [program, ...args, ...weights] };
  }
  return {
    ...{ name, outputFile, program: python },
    args: ["-m", `reference.bench.${call.program}`, ...args, ...(isCompiled ? ["--compile"] : [])],
    environment: { TORCHINDUCTOR_CACHE_DIR: compilerCache(scratchFolder) },
  };
}

/** Where torch.compile keeps what it compiled. */
function compilerCache(scratchFolder: string): string {
  return resolve(scratchFolder, "compiled");
}

async function compilerProblem({ python, scratchFolder }: BenchOptions): Promise<string | undefined> {
  const environment = { TORCHINDUCTOR_CACHE_DIR: compilerCache(scratchFolder) };
  const answer = await runForJson(python, ["-m", "reference.bench.compiler"], environment);
  return (answer as { problem: string | null }).problem ?? undefined;
}
