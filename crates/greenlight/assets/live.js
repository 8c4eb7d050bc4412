// Keeps a page up to date while it is open. Without this module the page says the same after a reload.
const name = document.body.dataset.live;
if (name !== undefined) {
  let isReading = false;
  let isStale = false;
  const read = async () => {
    isStale = true;
    if (isReading) return;
    isReading = true;
    while (isStale) {
      isStale = false;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => undefined);
      if (!answer?.ok) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main");
      if (fresh && !document.querySelector("main").isEqualNode(fresh)) document.querySelector("main").replaceWith(fresh);
      await new Promise((done) => setTimeout(done, 300));
    }
    isReading = false;
  };
  const events = new EventSource("/events");
  events.addEventListener("change", (event) => {
    const { repository } = JSON.parse(event.data);
    if (name === "" || name === repository) read();
  });
  events.addEventListener("reload", read);
}
