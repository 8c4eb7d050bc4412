// Expressions at random: most are right, some are broken on purpose.

const PRIMITIVES = [null, true, false, 0, 1, -1, 2, 15, 0.5, -2.25, 1e3, 123456, "", "a", "A", "abc", "true", "false", "null", "0", "1", " 0x1F ", "1e2", "NaN", "x y", "ß", "É", "🙂", "it's", "{0}", "a,b", "[1,2]", '{"k":1}'];
const KEYS = ["a", "b", "Key", "x-y", "_z", "list", "deep", "*", "true"];
const NUMBERS = ["0", "1", "-1", "2", "10", ".5", "1.5", "+3", "1e2", "0x1F", "0o17", "NaN", "Infinity", "-2.25", "007", "1.", "-0"];
const STRINGS = ["", "a", "A", "abc", "ABC", "b", "1", "0", " 1 ", "0x1F", "0o7", "true", "null", "it''s", "{0}", "{0} {1}", "{{}}", "{0", "}", "{2}", "é", "É", "ß", "🙂", ",", "[1,2]", '{"a":[1,{"b":null}]}', "[", "-", "Infinity", "+1", "1e1000", "x.y"];
const OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "&&", "||"];
const FUNCTIONS = [["contains", 2, 2], ["startsWith", 2, 2], ["endsWith", 2, 2], ["format", 1, 4], ["join", 1, 2], ["toJSON", 1, 1], ["fromJSON", 1, 1], ["case", 3, 5]];
const NOISE = ["(", ")", "[", "]", ",", ".", "*", "!", "==", "=", "&", "|", "'", "''", "-", "+", "0x", "0xG", "1.2.3", "@", "$", "#", "\"", "\\", "?", ":", "{", "}", "a b", "foo(", ".5.", "null", "and"];

export class Grammar {
  constructor(random) {
    this.random = random;
  }

  /** Returns contexts that expressions are about. */
  contexts() {
    const out = {};
    for (const name of ["github", "env", "matrix", "needs"]) out[name] = this.object(3);
    out.list = Array.from({ length: this.random.below(4) }, () => this.value(2));
    out.text = this.random.of(PRIMITIVES);
    return out;
  }

  object(depth) {
    const out = {};
    const count = 1 + this.random.below(4);
    for (let at = 0; at < count; at++) {
      const key = this.random.of(KEYS);
      const isNew = !Object.keys(out).some((known) => known.toLowerCase() === key.toLowerCase());
      if (isNew) out[key] = this.value(depth - 1);
    }
    return out;
  }

  value(depth) {
    if (depth <= 0 || this.random.chance(0.4)) return this.random.of(PRIMITIVES);
    if (this.random.chance(0.5)) return Array.from({ length: this.random.below(4) }, () => this.value(depth - 1));
    return this.object(depth);
  }

  /** Returns an expression; about one in six is broken, and some are texts that hardly begin to be one. */
  expression() {
    if (this.random.chance(0.01)) return this.deep();
    const text = this.tree(1 + this.random.below(4));
    return this.random.chance(0.16) ? this.broken(text).toWellFormed() : text;
  }

  tree(depth) {
    if (depth <= 0) return this.leaf();
    const inner = () => this.tree(depth - 1 - this.random.below(2));
    const blank = () => this.random.of(["", " ", " ", "  ", "\t"]);
    switch (this.random.below(9)) {
      case 0:
      case 1:
        return `${inner()}${blank()} ${this.random.of(OPERATORS)}${blank()}${inner()}`;
      case 2:
        return `(${blank()}${inner()}${blank()})`;
      case 3:
        return `!${inner()}`;
      case 4:
      case 5:
        return this.call(inner);
      case 6:
        return `(${inner()})${this.path(inner)}`;
      default:
        return `${this.named()}${this.path(inner)}`;
    }
  }

  leaf() {
    switch (this.random.below(6)) {
      case 0:
        return this.random.of(["true", "false", "null"]);
      case 1:
        return this.random.of(NUMBERS);
      case 2:
      case 3:
        return `'${this.random.of(STRINGS)}'`;
      default:
        return `${this.named()}${this.path(() => `'${this.random.of(KEYS)}'`)}`;
    }
  }

  named() {
    const name = this.random.of(["github", "env", "matrix", "needs", "list", "text"]);
    return this.random.chance(0.1) ? name.toUpperCase() : this.random.chance(0.01) ? "unknown" : name;
  }

  path(inner) {
    let out = "";
    const length = this.random.below(4);
    for (let at = 0; at < length; at++) {
      switch (this.random.below(6)) {
        case 0:
          out += this.random.of([".*", "[*]"]);
          break;
        case 1:
          out += `[${this.random.of(["0", "1", "-1", "1.9", "'0'", "null", "true", "Infinity"])}]`;
          break;
        case 2:
          out += `['${this.random.of(KEYS)}']`;
          break;
        case 3:
          out += `[${inner()}]`;
          break;
        default: {
          const key = this.random.of(["a", "b", "key", "x-y", "_z", "list", "deep", "true", "NaN"]);
          out += `.${key}`;
        }
      }
    }
    return out;
  }

  call(inner) {
    const [name, min, max] = this.random.of(FUNCTIONS);
    let count = min + this.random.below(max - min + 1);
    if (name === "case" && this.random.chance(0.9)) count = this.random.of([3, 5]);
    if (this.random.chance(0.04)) count += this.random.of([-1, 1, 2]);
    const written = this.random.chance(0.1) ? name.toLowerCase() : name;
    const first = name === "case" && this.random.chance(0.8) ? `${inner()} == ${inner()}` : inner();
    const rest = Array.from({ length: Math.max(0, count - 1) }, inner);
    return `${written}(${(count > 0 ? [first, ...rest] : []).join(this.random.of([",", ", "]))})`;
  }

  broken(text) {
    const at = this.random.below(text.length + 1);
    switch (this.random.below(4)) {
      case 0:
        return text.slice(0, at) + text.slice(at + 1 + this.random.below(3));
      case 1:
        return text.slice(0, at);
      case 2:
        return text.slice(0, at) + text.slice(at - this.random.below(4), at) + text.slice(at);
      default:
        return text.slice(0, at) + this.random.of(NOISE) + text.slice(at);
    }
  }

  /** Returns an expression about as deep as one may be. */
  deep() {
    const depth = 40 + this.random.below(20);
    return this.random.of([
      () => `${"(".repeat(depth)}1${")".repeat(depth)}`,
      () => `${"!".repeat(depth)}true`,
      () => `${"contains(".repeat(depth)}'a'${", 'a')".repeat(depth)}`,
      () => `list${"[0]".repeat(depth)}`,
      () => `${"github[".repeat(depth)}'a'${"]".repeat(depth)}`,
    ])();
  }
}
