console.log(`nothing to dispatch for ${process.env.GITHUB_EVENT_NAME}`);
