/** Does every thread get tasks of its own, and none of the second half before the first is done? */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import {
  createTasks,
  type SharedTasks,
  stopTasks,
  takeFirst,
  takeSecond,
} from "../../../src/engine/ort/shared-tasks.ts";

/** A thread that waits for three tasks of the first half, and says what it gets of two of the second. */
function waitingThread(tasks: SharedTasks): { answer: Promise<unknown>; hasAnswered: () => boolean } {
  const module = new URL("../../../src/engine/ort/shared-tasks.ts", import.meta.url).href;
  const program = `import { parentPort, workerData } from "node:worker_threads";
    import { takeSecond } from ${JSON.stringify(module)};
    parentPort.postMessage("waits");
    parentPort.postMessage([...takeSecond(workerData, 3, 2)]);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  const worker = new Worker(url, { workerData: tasks, execArgv: [] });
  let hasAnswered = false;
  const answer = once(worker, "message").then(async () => {
    const [got] = await once(worker, "message");
    hasAnswered = true;
    return got;
  });
  return { answer, hasAnswered: () => hasAnswered };
}

const aMoment = () => new Promise((resolve) => setTimeout(resolve, 200));

it("tasks of the first half are each given once, in their order", () => {
  const tasks = createTasks();
  const [one, other] = [takeFirst(tasks, 3), takeFirst(tasks, 3)];
  const taken = [one, other, one, other].map((thread) => thread.next().value);
  expect(taken).toEqual([0, 1, 2, undefined]);
});

it("the second half begins when all of the first is done, not when it is taken", async () => {
  const tasks = createTasks();
  const { answer, hasAnswered } = waitingThread(tasks);
  const thread = takeFirst(tasks, 3);
  for (let task = 0; task < 3; task++) thread.next();
  await aMoment();
  expect(hasAnswered()).toBe(false);
  thread.next(); // the third is done now
  expect(await answer).toEqual([0, 1]);
});

it("when they stop there are no tasks any more, and nobody waits", async () => {
  const tasks = createTasks();
  const { answer } = waitingThread(tasks);
  await aMoment();
  stopTasks(tasks);
  expect(await answer).toEqual([]);
  expect([...takeFirst(tasks, 3), ...takeSecond(tasks, 0, 2)]).toEqual([]);
});
