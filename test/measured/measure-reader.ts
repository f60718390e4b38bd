/**
 * How much memory does the reader hold for a file, at the most? A program, so that nothing else is in its memory:
 * `node --expose-gc measure-reader.ts FILE READS` prints bytes of the heap, and of the whole process.
 *
 * The heap is counted where most is held at once, with all that is not needed any more given back before: when a table
 * grows, which has the old and the new one side by side, after a sort, and at the end. So the count is the same each time.
 */
import { readFileSync } from "node:fs";
import { getHeapStatistics } from "node:v8";
import { StillmotionError } from "../../src/errors.ts";
import { parseSafetensorsHeader } from "../../src/weights/safetensors/safetensors-header.ts";

const collect = globalThis.gc!;
const [path, reads] = process.argv.slice(2) as [string, string];
const bytes = readFileSync(path);
collect();
const heapBefore = getHeapStatistics().used_heap_size;
const processBefore = process.memoryUsage().rss;

let heapBytes = 0;
function count(): void {
  heapBytes = Math.max(heapBytes, getHeapStatistics().used_heap_size - heapBefore);
}

const { set } = Map.prototype;
Map.prototype.set = function setAndCount(key, value) {
  const mayGrow = Number.isInteger(Math.log2(this.size));
  if (mayGrow) collect();
  set.call(this, key, value);
  if (mayGrow) count();
  return this;
};
const { sort } = Array.prototype;
Array.prototype.sort = function sortAndCount(compare) {
  collect();
  sort.call(this, compare);
  count();
  return this;
};

const held: unknown[] = [];
try {
  for (let read = 0; read < Number(reads); read++) held.push(parseSafetensorsHeader(bytes, bytes.length, "x"));
} catch (error) {
  if (!(error instanceof StillmotionError)) throw error;
}
const processBytes = 1024 * process.resourceUsage().maxRSS - processBefore;
collect();
count();
process.stdout.write(JSON.stringify({ heapBytes, processBytes, reads: held.length }));
