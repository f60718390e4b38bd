import { expect, it } from "vitest";
import { findModel } from "../../src/node/hub/find-model.ts";
import { messageOf } from "../node/hub/scene.ts";

it.each([
  ["svd", "stabilityai/stable-video-diffusion-img2vid", "main"],
  ["SVD-XT", "stabilityai/stable-video-diffusion-img2vid-xt", "main"],
  ["svd-xt-1.1@fp16", "stabilityai/stable-video-diffusion-img2vid-xt-1-1", "fp16"],
  ["some-one/a_model.v2", "some-one/a_model.v2", "main"],
  ["some-one/model@refs/pr/1", "some-one/model", "refs/pr/1"],
])("%s is %s at %s", async (name, repository, revision) => {
  expect(await findModel(name)).toEqual({ repository, revision });
});

it("takes what is here first", async () => {
  expect(await findModel("test/checkpoints")).toEqual({ path: "test/checkpoints" });
  expect(await messageOf(findModel("test/checkpoints", "main"))).toMatch(/is a path, and revision main is for models/);
});

it.each([
  "./nowhere",
  "/nowhere",
  "../a/b",
  "~/models",
  "C:\\models",
  "a\\b",
  "models/svd/",
  "a/b/c",
  "svd.safetensors",
  "clips/boat.mp4",
  "nowhere",
  "",
  "a--b/c",
  "org/..",
  "../name",
  "org/name.git",
  "con/name",
  "org/-name",
])("%j, which does not exist, is no name of a model", async (name) => {
  await expect(findModel(name)).rejects.toMatchObject({ code: "invalid-checkpoint" });
});

it("says of a path that it does not exist, and what else could be given", async () => {
  expect(await messageOf(findModel("./nowhere"))).toBe(
    "./nowhere: there is no such path here; expected a folder in diffusers layout, a file, a model of the hub as org/name, or one of svd, svd-xt, svd-xt-1.1",
  );
});

it.each(["../../x", "a..b", "a b", "", "x:y", "-/../y", "main.lock", "a\\b", "nul"])(
  "refuses the revision %j",
  async (revision) => {
    await expect(findModel("svd", revision)).rejects.toMatchObject({ code: "invalid-option" });
  },
);

it("refuses two revisions", async () => {
  expect(await messageOf(findModel("svd@one", "two"))).toBe(
    "model svd@one names a revision, and revision is two; give one of them",
  );
});

it("names a path as it was given, all of it, and shows what would move the cursor as its number", async () => {
  const long = `./${"Models-12:30 %20#ü/".repeat(12)}👩‍🚀`;
  expect(await messageOf(findModel(long))).toContain(`${long}: there is no such path here`);
  expect(await messageOf(findModel("./a\u001b[2J\u202eb"))).toContain("./a\\u{1b}[2J\\u{202e}b: there is");
});
