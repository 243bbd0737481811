/* Waiting for one song: asks for its status, says honestly how it stands, heals after every interruption. */
"use strict";

(function (petsong) {
  const LATE_AFTER = 5 * 60; // seconds
  const SLOW = 30; // between two questions once it is late
  const HIDDEN = 60; // while nobody looks
  const STEPS = { queued: 0, sending: 1, generating: 1, downloading: 1, rendering: 2, done: 3 };

  function range(estimate) {
    if (!estimate || !Number.isFinite(estimate.high) || estimate.high <= 0) return "";
    const low = Math.max(1, Math.floor((Number(estimate.low) || 0) / 60));
    const high = Math.ceil(estimate.high / 60);
    if (high <= 1) return petsong.text("under_a_minute");
    return low === high ? petsong.text("about", { n: high }) : petsong.text("between", { low, high });
  }

  function waiting() {
    return {
      photo: "",
      stage: "",
      step: 0,
      place: "",
      estimate: "",
      progress: 0,
      late: false,
      gone: false,
      trouble: false,
      asking: false,
      checked: "",
      failures: 0,
      pollAfter: 10,

      init() {
        this.photo = petsong.keepsakes.get(petsong.page.session_id).photo;
        this.stage = petsong.text("stage_queued");
        this.onVisible = () => this.wake();
        document.addEventListener("visibilitychange", this.onVisible);
        window.addEventListener("online", this.onVisible);
        this.lateTimer = setTimeout(() => (this.late = true), LATE_AFTER * 1000);
        this.ask();
      },
      destroy() {
        this.stop();
        document.removeEventListener("visibilitychange", this.onVisible);
        window.removeEventListener("online", this.onVisible);
      },
      stop() {
        clearTimeout(this.timer);
        clearTimeout(this.lateTimer);
      },

      get hasPhoto() {
        return this.photo !== "";
      },
      get askingText() {
        return this.asking ? "true" : "false";
      },
      get here() {
        return !this.gone;
      },
      stepState: {
        ["x-bind:data-state"]() {
          const own = Number(this.$el.dataset.step);
          if (own < this.step) return "done";
          return own === this.step ? "now" : "later";
        },
        ["x-bind:aria-current"]() {
          return Number(this.$el.dataset.step) === this.step ? "step" : null;
        },
      },

      wake() {
        if (document.hidden || this.gone) return;
        this.ask();
      },
      async checkAgain() {
        this.checked = "";
        await this.ask();
        if (!this.gone && !this.trouble) this.checked = petsong.text("checked", { time: new Date().toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" }) });
      },
      async ask() {
        if (this.asking || this.gone) return;
        this.asking = true;
        clearTimeout(this.timer);
        const answer = await petsong.api("GET", petsong.page.status_path);
        this.asking = false;
        if (answer.status === 404) return this.vanish();
        if (answer.status === 200) this.show(answer.body);
        else this.fail(answer);
      },
      show(body) {
        this.failures = 0;
        this.trouble = false;
        if (body.status === "success" || body.status === "fail") {
          this.stop();
          this.gone = true; // no more questions; the page is on its way out
          window.location.replace(petsong.page.result_path);
          return;
        }
        this.stage = petsong.text(`stage_${body.stage}`) || petsong.text("stage_generating");
        this.step = STEPS[body.stage] || 0;
        this.place = body.queue_position > 0 ? petsong.text("place", { n: body.queue_position }) : "";
        this.estimate = range(body.estimated_seconds);
        this.progress = Math.min(100, Math.max(this.progress, Number(body.progress) || 0)); // never backwards
        this.pollAfter = body.poll_after_seconds > 0 ? body.poll_after_seconds : 10;
        this.schedule(this.pollAfter);
      },
      fail({ retryAfter }) {
        this.failures += 1;
        this.trouble = true;
        this.schedule(Math.max(retryAfter, Math.min(60, 5 * 2 ** (this.failures - 1))));
      },
      schedule(seconds) {
        const least = Math.max(this.late ? SLOW : 0, document.hidden ? HIDDEN : 0);
        this.timer = setTimeout(() => this.ask(), Math.max(seconds, least) * 1000);
      },
      vanish() {
        this.stop();
        this.gone = true;
        this.trouble = false;
        this.$nextTick(() => this.$refs.gone.focus());
      },
    };
  }

  document.addEventListener("alpine:init", () => Alpine.data("waiting", waiting));
})(window.petsong);
