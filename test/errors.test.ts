/** What do errors say, and when does a wait end? */
import { describe, expect, it } from "vitest";
import {
  inCall,
  joined,
  message,
  messageText,
  option,
  StillmotionError,
  untilAborted,
  workFor,
} from "../src/errors.ts";
import { expectError } from "./video/test-clip.ts";

describe("a message", () => {
  const said = message`${inCall("loadImage")}${option("maxPixels")} is ${0}, raise it or ${option("maxBytes")}`;

  it("reads as text with the options' names, or with others", () => {
    expect(messageText(said)).toBe("loadImage: maxPixels is 0, raise it or maxBytes");
    const shouted = messageText(
      said,
      (name) => name.toUpperCase(),
      () => "",
    );
    expect(shouted).toBe("MAXPIXELS is 0, raise it or MAXBYTES");
  });

  it("keeps text that looks like an option as text", () => {
    const text = message`${"maxPixels"} of ${message`a ${"seed"}`}`;
    expect(messageText(text, () => "changed")).toBe("maxPixels of a seed");
  });

  it("is put together from others", () => {
    expect(messageText(joined(["a", option("b"), said], "; "), (name) => `<${name}>`)).toBe(
      "a; <b>; loadImage: <maxPixels> is 0, raise it or <maxBytes>",
    );
  });
});

describe("an error", () => {
  it("tells the first option that its message names, and shows no more than its code when it is printed", () => {
    const error = new StillmotionError("invalid-option", message`${option("width")} and ${option("height")} are odd`);
    expect(error).toMatchObject({ message: "width and height are odd", option: "width" });
    expect(Object.keys(error)).toEqual(["name", "code"]);
    expect(new StillmotionError("internal", "width is odd").option).toBeUndefined();
  });

  it("of work for an option begins with it, and keeps its code and its options", async () => {
    const cause = new StillmotionError("unsupported", message`x is a LoRA: give it with ${option("loras")}`);
    const error = await workFor(option("unet"), () => Promise.reject(cause)).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "unsupported", option: "unet", cause });
    expect(messageText(error.said, (name) => `<${name}>`)).toBe("<unet>: x is a LoRA: give it with <loras>");
    const foreign = new TypeError("no");
    await expect(
      workFor("unet", () => {
        throw foreign;
      }),
    ).rejects.toBe(foreign);
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
