/** Where do the random bits come from? The 32-bit Mersenne Twister, as in the paper and in torch's CPU generator. */

// Matsumoto and Nishimura, "Mersenne Twister: A 623-dimensionally equidistributed uniform pseudorandom number
// generator" (1998); seeding as in the authors' 2002 revision.
const stateLength = 624;
const middle = 397;

/** A stream of uniform integers in 0..2^32-1 from the low 32 bits of `seed`. */
export function mersenneTwister(seed: number): () => number {
  const state = seededState(seed);
  let position = stateLength;

  return () => {
    if (position === stateLength) {
      advance(state);
      position = 0;
    }
    let bits = state[position++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return bits >>> 0;
  };
}

function seededState(seed: number): Int32Array {
  const state = new Int32Array(stateLength);
  state[0] = seed;
  for (let i = 1; i < stateLength; i++) {
    const previous = state[i - 1]!;
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
  }
  return state;
}

/** Replaces all 624 words by the next 624 of the recurrence. */
function advance(state: Int32Array): void {
  for (let i = 0; i < stateLength; i++) {
    const next = state[i + 1 < stateLength ? i + 1 : 0]!;
    const far = state[i + middle < stateLength ? i + middle : i + middle - stateLength]!;
    const mixed = (state[i]! & 0x80000000) | (next & 0x7fffffff);
    state[i] = far ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
  }
}
