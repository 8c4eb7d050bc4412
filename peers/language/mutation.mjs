// Workflows changed at random, line by line: most changes leave YAML that can be read, many leave a workflow that cannot.

const KEYS = ["on", "name", "jobs", "runs-on", "steps", "run", "uses", "with", "env", "if", "needs", "strategy", "matrix", "include", "exclude", "permissions", "outputs", "services", "container", "image", "environment", "concurrency", "group", "cancel-in-progress", "timeout-minutes", "continue-on-error", "defaults", "shell", "working-directory", "id", "secrets", "fail-fast", "max-parallel", "types", "branches", "paths", "tags", "inputs", "required", "default", "type", "runz", "Name", "foo"];
const SCALARS = ["", "true", "false", "null", "~", "1", "-1", "1.5", "0x1F", "1e400", "abc", "'quoted'", '"double"', "[a, b]", "{ a: b }", "[]", "{}", "push", "read-all", "write", "inherit", "ubuntu-latest", "actions/checkout@v4", "./local", "docker://alpine:3", "${{ github.ref }}", "${{ matrix.os }}", "${{ needs.a.outputs.x }}", "${{ secrets.X }}", "${{ env.X }}", "${{ fromJSON('[1]') }}", "${{ unknown.x }}", "${{ success() }}", "${{", "${{ }}", "a ${{ github.ref }} b", "${{ 1 + 1 }}", "x: y", "@x", "*alias", "&anchor a", "!!str 1", "2020-01-01", "__x", "a b", "1a"];
const EXTRA_LINES = ["permissions: read-all", "concurrency: x", "env: { A: b }", "continue-on-error: true", "timeout-minutes: 5", "if: always()", "if: github.ref == 'x'", "needs: nobody", "name: x", "id: same", "runs-on: x", "run: echo", "uses: actions/checkout@v4", "shell: bash", "foo: bar", "- run: echo", "- uses: a/b@c", "# comment", "", "strategy: { matrix: { a: [1, 2] } }", "container: node:20", "services: { db: { image: x } }", "environment: prod", "outputs: { x: y }", "defaults: { run: { shell: bash } }", "secrets: inherit", "with: { a: b }"];

export class Mutation {
  constructor(random) {
    this.random = random;
  }

  /** Returns the text with one to three changes. */
  of(text) {
    let lines = text.split("\n");
    const count = 1 + this.random.below(3);
    for (let at = 0; at < count; at++) lines = this.once(lines);
    return lines.join("\n");
  }

  once(lines) {
    const at = this.random.below(lines.length);
    const line = lines[at];
    const indent = line.match(/^ */)[0];
    const replaced = (text) => [...lines.slice(0, at), ...(text === undefined ? [] : [text].flat()), ...lines.slice(at + 1)];
    const key = line.match(/^(\s*(?:- )?)([\w-]+)(:.*)$/);
    const value = line.match(/^(\s*(?:- )?(?:[\w-]+: +)?)(\S.*)$/);
    switch (this.random.below(10)) {
      case 0:
        return replaced(undefined);
      case 1:
        return replaced([line, line]);
      case 2:
        return key ? replaced(`${key[1]}${this.random.of(KEYS)}${key[3]}`) : lines;
      case 3:
      case 4:
      case 5:
        return value ? replaced(`${value[1]}${this.random.of(SCALARS)}`) : lines;
      case 6:
        return replaced([line, `${indent}${this.random.of(EXTRA_LINES)}`]);
      case 7:
        return replaced(this.random.chance(0.5) ? `  ${line}` : line.replace(/^ {2}/, ""));
      case 8: {
        const other = this.random.below(lines.length);
        const swapped = [...lines];
        [swapped[at], swapped[other]] = [swapped[other], swapped[at]];
        return swapped;
      }
      default: {
        const letter = this.random.below(line.length + 1);
        return replaced(line.slice(0, letter) + this.random.of(["", ":", "'", '"', "[", "{", "#", "-", "$", " ", "}", "\t"]) + line.slice(letter + this.random.below(2)));
      }
    }
  }
}
