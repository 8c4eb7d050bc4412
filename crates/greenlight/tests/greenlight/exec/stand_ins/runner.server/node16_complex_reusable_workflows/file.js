console.log('found above the folder of the action');
