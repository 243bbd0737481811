/* The overview renews itself while somebody looks; what is open, selected or in focus stays as it is. */
"use strict";

(function () {
  const live = () => document.getElementById("live");
  const pause = Number(live().dataset.refreshSeconds) * 1000;
  let timer = 0;
  let running = false;

  function isInUse() {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && live().contains(selection.anchorNode);
    return selecting || live().contains(document.activeElement);
  }

  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!fresh) return;
    for (const details of live().querySelectorAll("details[open]")) {
      const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = true;
    }
    live().replaceWith(document.adoptNode(fresh));
  }

  async function renew() {
    if (running || document.hidden) return;
    running = true;
    try {
      if (!isInUse()) {
        const answer = await fetch(window.location.pathname, { headers: { Accept: "text/html" } });
        if (answer.ok && !isInUse()) show(await answer.text());
      }
    } catch (problem) {
      console.warn("overview", problem); // offline: the time at the top tells how old it is
    } finally {
      running = false;
    }
  }

  function plan() {
    window.clearInterval(timer);
    if (!document.hidden) timer = window.setInterval(renew, pause);
  }

  document.addEventListener("visibilitychange", () => {
    plan();
    renew();
  });
  plan();
})();
