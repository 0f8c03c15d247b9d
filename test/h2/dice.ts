/** Random numbers that a seed repeats: `roll(n)` is one of 0 to n - 1. */
export const dice = (seed: number): ((sides: number) => number) => {
  let state = (seed * 0x9e3779b9) >>> 0
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * sides)
  }
}
