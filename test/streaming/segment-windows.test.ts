import { expect, it } from "vitest";
import { evenWindow } from "../../src/streaming/segment-windows.ts";

it.each([
  [25, 8, 7], // four windows of 8 would end with one frame
  [25, 24, 13],
  [25, 25, 25],
  [25, 1, 1],
  [8, 3, 3],
  [1, 1, 1],
])("%d frames in windows of at most %d take windows of %d", (frames, window, even) => {
  expect(evenWindow(window, frames)).toBe(even);
  expect(Math.ceil(frames / even)).toBe(Math.ceil(frames / window));
});
