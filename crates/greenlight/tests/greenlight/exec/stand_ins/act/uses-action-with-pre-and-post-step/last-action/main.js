console.log('the work is done by the post step');
