/* Shared by every page: the page's own data, one way to call the API, the toast, "copy link", the record. */
"use strict";

window.petsong = {};

// Alpine reads every global once when it starts, and browsers report the mere reading of these as the use of something
// deprecated. Nothing here needs them.
for (const name of ["fence", "Fence", "FencedFrameConfig", "HTMLFencedFrameElement"]) delete window[name];

(function (petsong) {
  const block = document.getElementById("page-data");
  /** What the server has to say to the scripts: addresses, limits and every text that a script shows. */
  petsong.page = block ? JSON.parse(block.textContent) : {};

  /** The text `key` with {name} replaced from `values`. */
  petsong.text = function (key, values) {
    const template = (petsong.page.texts || {})[key] || "";
    return template.replace(/\{(\w+)\}/g, (whole, name) => (values && name in values ? String(values[name]) : whole));
  };

  /** What the server says, in the page's language: its own messages are English, `key` says the same. */
  petsong.served = function (message, key) {
    const english = document.documentElement.lang.startsWith("en");
    return (english && typeof message === "string" && message) || petsong.text(key);
  };

  /** "35 seconds", "2 minutes": a waiting time for a person. */
  petsong.duration = function (seconds) {
    const whole = Math.max(1, Math.ceil(seconds));
    if (whole === 1) return petsong.text("one_second");
    if (whole < 90) return petsong.text("seconds", { n: whole });
    return petsong.text("minutes", { n: Math.ceil(whole / 60) });
  };

  /**
   * One call of the API. Never throws: answers {status, body, retryAfter}; status 0 means that no
   * answer came (offline, cut, timed out), so what happened at the server is unknown.
   */
  petsong.api = async function (method, path, { body, headers, timeout = 20000 } = {}) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), timeout);
    try {
      const response = await fetch(path, {
        method,
        body,
        signal: control.signal,
        cache: "no-cache",
        credentials: "same-origin",
        headers: Object.assign(body ? { "Content-Type": "application/json" } : {}, headers),
      });
      const text = await response.text();
      return { status: response.status, body: parse(text), retryAfter: Number(response.headers.get("Retry-After")) || 0 };
    } catch (_unreachable) {
      return { status: 0, body: {}, retryAfter: 0 };
    } finally {
      clearTimeout(timer);
    }
  };

  // A proxy in between may answer in HTML: then the status alone speaks.
  function parse(text) {
    try {
      const value = JSON.parse(text);
      return value && typeof value === "object" ? value : {};
    } catch (_notJson) {
      return {};
    }
  }

  /** Show a message; with `retry` also a button that sends a "retry" event to the page. */
  petsong.toast = function (message, { retry = false } = {}) {
    window.dispatchEvent(new CustomEvent("toast", { detail: { message, retry } }));
  };

  /** A Date in the page's language and on the visitor's own clock. */
  petsong.moment = (date, dateStyle) => date.toLocaleString(document.documentElement.lang, { dateStyle, timeStyle: "short" });

  petsong.copy = async function (text) {
    if (navigator.clipboard && window.isSecureContext) {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch (_denied) {
        // Fall through to the old way.
      }
    }
    const field = document.createElement("textarea");
    field.value = text;
    field.setAttribute("readonly", "");
    field.className = "visually-hidden";
    // Inside an open dialog everything outside is inert, so a field there could not be selected.
    (document.querySelector("dialog[open]") || document.body).append(field);
    const before = document.activeElement;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (before) before.focus();
    return done;
  };

  document.addEventListener("alpine:init", () => {
    Alpine.data("toast", () => ({
      message: "",
      canRetry: false,
      get visible() {
        return this.message !== "";
      },
      open(event) {
        // Emptied first, so that the same message is announced again.
        this.message = "";
        this.$nextTick(() => {
          this.message = event.detail.message;
          this.canRetry = event.detail.retry;
        });
      },
      close() {
        this.message = "";
      },
      retry() {
        this.close();
        window.dispatchEvent(new CustomEvent("retry"));
      },
    }));

    Alpine.data("copyLink", () => ({
      copied: false,
      label: "",
      init() {
        this.label = this.$el.dataset.label;
      },
      async copy() {
        const root = this.$root;
        this.copied = await petsong.copy(root.dataset.url);
        this.label = this.copied ? root.dataset.copied : root.dataset.failed;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
          this.copied = false;
          this.label = root.dataset.label;
        }, 3000);
      },
    }));

    // Anything that moves for longer than five seconds can be stopped: one button stops all of it.
    petsong.motion = Alpine.reactive({ paused: false });
    Alpine.data("record", () => ({
      toggle() {
        petsong.motion.paused = !petsong.motion.paused;
      },
      get turning() {
        return petsong.motion.paused ? "record-paused" : "";
      },
      get pausedText() {
        return petsong.motion.paused ? "true" : "false";
      },
    }));
  });
})(window.petsong);
