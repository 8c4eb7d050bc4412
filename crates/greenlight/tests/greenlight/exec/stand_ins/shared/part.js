// The composite's own `cache` must not be shadowed by the default of this action's.
if (process.env.INPUT_CACHE !== 'true') throw new Error(`cache is '${process.env.INPUT_CACHE}'`);
if (!/^step[12]$/.test(process.env.INPUT_STEP)) throw new Error(`step is '${process.env.INPUT_STEP}'`);
