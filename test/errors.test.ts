/** What do errors say, and when does a wait end? */
import { describe, expect, it } from "vitest";
import { inCall, message, option, StillmotionError, untilAborted } from "../src/errors.ts";
import { expectError } from "./video/test-clip.ts";

describe("a message", () => {
  const sizes = message`${option("width")} or ${option("height")}`;
  const said = message`${inCall("generate")}${option("numFrames")} is ${0}, expected less than ${sizes}`;

  it("names options as the library does, and says which one it is about first", () => {
    const error = new StillmotionError("invalid-option", said);
    expect(error.message).toBe("generate: numFrames is 0, expected less than width or height");
    expect(error.option).toBe("numFrames");
  });

  it("of plain text names none", () => {
    expect(new StillmotionError("internal", "numFrames").option).toBeUndefined();
  });
});

describe("untilAborted", () => {
  it("ends the wait when the signal fires", async () => {
    const controller = new AbortController();
    const never = new Promise<never>(() => {});
    setTimeout(() => controller.abort(new Error("enough")), 5);
    const error = await expectError(() => untilAborted(never, controller.signal), "aborted", /aborted/);
    expect(error.cause).toEqual(new Error("enough"));
  });

  it("gives the result and lets go of the signal otherwise", async () => {
    const { signal } = new AbortController();
    expect(await untilAborted(Promise.resolve(3), signal)).toBe(3);
    expect(await untilAborted(Promise.resolve(4), undefined)).toBe(4);
  });

  it("ends it at once when the signal fired before, and leaves no rejection of the work unheard", async () => {
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on("unhandledRejection", hear);
    const failing = Promise.reject(new Error("too late"));
    await expectError(() => untilAborted(failing, AbortSignal.abort()), "aborted", /aborted/);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", hear);
    expect(unheard).toEqual([]);
  });
});
