/** How do threads share work of which the second half needs all of the first? By counters in memory that all of them see. */

/** Counters that all threads see. */
export type SharedTasks = SharedArrayBuffer;

/** Places of the counters: what has been taken of each half, what is done of the first, and whether all shall end. */
const [firstTaken, firstDone, secondTaken, isStopped] = [0, 1, 2, 3];

export function createTasks(): SharedTasks {
  return new SharedArrayBuffer(4 * Int32Array.BYTES_PER_ELEMENT);
}

/** Has every thread end after what it is doing. */
export function stopTasks(tasks: SharedTasks): void {
  const counters = new Int32Array(tasks);
  Atomics.store(counters, isStopped, 1);
  Atomics.add(counters, firstDone, 1); // so that nobody begins to wait for the number that was there
  Atomics.notify(counters, firstDone);
}

/** Numbers up to `count` that no other thread gets, each of which is done when the next is asked for. */
export function* takeFirst(tasks: SharedTasks, count: number): Generator<number> {
  const counters = new Int32Array(tasks);
  for (const task of take(counters, firstTaken, count)) {
    yield task;
    if (Atomics.add(counters, firstDone, 1) + 1 === count) Atomics.notify(counters, firstDone);
  }
}

/** Numbers up to `count` that no other thread gets, from when all `before` tasks of the first half are done. */
export function* takeSecond(tasks: SharedTasks, before: number, count: number): Generator<number> {
  const counters = new Int32Array(tasks);
  for (let done = Atomics.load(counters, firstDone); done < before; done = Atomics.load(counters, firstDone)) {
    if (Atomics.load(counters, isStopped) === 1) return;
    Atomics.wait(counters, firstDone, done);
  }
  yield* take(counters, secondTaken, count);
}

function* take(counters: Int32Array, taken: number, count: number): Generator<number> {
  while (Atomics.load(counters, isStopped) === 0) {
    const task = Atomics.add(counters, taken, 1);
    if (task >= count) return;
    yield task;
  }
}
