// What the other action did before its own post step is seen here.
for (const part of ['PRE', 'MAIN']) {
  if (process.env[`ACTION_OUTPUT_${part}`] !== part.toLowerCase()) throw new Error(`${part} has not run`);
}
