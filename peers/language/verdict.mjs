// Tells how a comparison ended, in the form of cargo's test runner.

/** What differs, and what is known to be the package's own fault, by name. */
export class Comparison {
  constructor(what, faults) {
    this.what = what;
    this.faults = faults;
    this.known = new Map();
    this.differences = [];
    this.compared = 0;
  }

  /** Takes in one difference; `about` is what the faults look at. */
  differs(about, shown) {
    const fault = this.faults.find((fault) => fault.explains(about));
    if (fault) {
      this.known.set(fault.name, (this.known.get(fault.name) ?? 0) + 1);
    } else {
      this.differences.push(shown);
    }
  }

  conclude() {
    for (const fault of this.faults) {
      const count = this.known.get(fault.name) ?? 0;
      if (count > 0) console.log(`known   ${fault.name}: ${count}, ${fault.reason}`);
    }
    for (const shown of this.differences.slice(0, Number(process.env.SHOWN ?? 20))) console.log(`DIFFERS ${shown}`);
    const failed = this.differences.length > 0 ? 1 : 0;
    console.log(`${failed ? "FAILED " : "ok     "} ${this.compared} ${this.what}, ${this.differences.length} differ`);
    console.log(`test result: ${failed ? "FAILED" : "ok"}. ${1 - failed} passed; ${failed} failed;`);
    process.exit(failed);
  }
}
