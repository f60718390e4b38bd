/** Does a mistyped path say that there is none, what may have been meant, and only then what the hub said? */
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join, relative, resolve } from "node:path";
import { expect, it } from "vitest";
import { findModel } from "../../../src/node/hub/find-model.ts";
import { noSuchPath } from "../../../src/node/hub/nearest-path.ts";
import { emptyFolder, messageOf, scene } from "./scene.ts";

it.each([
  ["models/tiy", "models/tiny"],
  ["modles/tiny", "models/tiny"],
  ["modles/Tiney", "models/tiny"],
  ["./models/tinny", "./models/tiny"],
  ["models/tiny/unett", "models/tiny/unet"],
  ["test/checkpoint/two-levels-fp23", "test/checkpoints/two-levels-fp32"],
  ["svd-xtt", "svd-xt"],
  ["models\\tiny", "models/tiny"],
  [".\\modles\\tiny\\", "./models/tiny"],
])("%s may mean %s", async (path, near) => {
  expect(await noSuchPath(path)).toBe(`${path}: there is no such path here (did you mean ${near}?)`);
});

it("~ that a shell left alone is the home folder", async () => {
  const fromHome = relative(homedir(), resolve("models/tiny"));
  expect(await noSuchPath(`~/${fromHome}`)).toContain(`(did you mean ${homedir()}/${fromHome}?)`);
});

it.each(["models/entirely-other", "elsewhere/tiny", "./x", "", "/nowhere/at/all"])(
  "%j is near to nothing",
  async (path) => {
    expect(await noSuchPath(path)).not.toContain("did you mean");
  },
);

it("looks in folders outside this one too", async () => {
  const folder = await emptyFolder();
  await mkdir(join(folder, "my-svd"));
  expect(await messageOf(findModel(join(folder, "my_svd")))).toMatch(
    new RegExp(
      `^${folder}/my_svd: there is no such path here \\(did you mean ${folder}/my-svd\\?\\); expected a folder`,
    ),
  );
});

const start = /^models\/tiy: there is no such path here \(did you mean models\/tiny\?\), and as a model of the hub: /;

it.each([
  [401, {}, "answered 401: there is no such model, or it is private: then give a token"],
  [404, { "x-error-code": "RepoNotFound" }, "answered 404: there is no such model"],
  [403, {}, "answered 403: access is forbidden"],
  [503, {}, "answered 503: the hub has trouble"],
])("comes before what the hub says: %i", async (status, headers, said) => {
  const { hub, resolve } = await scene();
  hub.misbehave = (_, response) => {
    response.writeHead(status, headers).end();
    return true;
  };
  const message = await messageOf(resolve({ name: "models/tiy" }));
  expect(message).toMatch(start);
  expect(message).toContain(said);
});

it("comes first without a network, and where nothing may be asked", async () => {
  const { hub, resolve } = await scene();
  expect(await messageOf(resolve({ name: "models/tiy", localFilesOnly: true }))).toMatch(
    new RegExp(`${start.source}models/tiy is not in the cache .* at revision main, and nothing may be downloaded here`),
  );
  hub.misbehave = (_, response) => {
    response.destroy();
    return true;
  };
  expect(await messageOf(resolve({ name: "models/tiy" }))).toMatch(
    new RegExp(`${start.source}models/tiy: 127\\.0\\.0\\.1:\\d+: .*check the network and run it again$`),
  );
});

it("is not said of a model that the hub has, nor of a short name", async () => {
  const { hub, resolve } = await scene();
  hub.misbehave = (_, response) => {
    response.writeHead(403, { "x-error-code": "GatedRepo" }).end();
    return true;
  };
  expect(await messageOf(resolve({ name: "someone/gated" }))).toMatch(/^someone\/gated is gated/);
  expect(await messageOf(resolve({ name: "svd-xt", localFilesOnly: true }))).toMatch(
    /^stabilityai\/stable-video-diffusion-img2vid-xt is not in the cache/,
  );
});
