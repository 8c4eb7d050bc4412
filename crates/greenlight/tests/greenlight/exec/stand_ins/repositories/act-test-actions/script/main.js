require('child_process').execFileSync('bash', ['-e', '-c', process.env.INPUT_MAIN], { stdio: 'inherit' });
