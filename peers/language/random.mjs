// Random choices that a seed repeats.

/** Returns the seed that was asked for, or a new one. */
export function seedOf(text) {
  return text ? Number(text) : Math.floor(Math.random() * 0xffffffff);
}

/** A source of choices; the same seed gives the same ones. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** Returns a number from 0 up to, not including, 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  }

  below(limit) {
    return Math.floor(this.next() * limit);
  }

  chance(share) {
    return this.next() < share;
  }

  of(items) {
    return items[this.below(items.length)];
  }
}
