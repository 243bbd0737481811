/* Waiting for one song: asks for its status, says honestly how it stands, heals after every interruption. */
"use strict";

(function (petsong) {
  const LATE_AFTER = 5 * 60; // seconds
  const SLOW = 30; // between two questions once it is late
  const HIDDEN = 60; // while nobody looks
  const CHATTER = 6; // seconds for a line of studio talk
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
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
      over: false, // no more questions: the song is ready, failed or gone
      chatter: "",
      trouble: false,
      asking: false,
      checked: "",
      line: -1,
      failures: 0,
      pollAfter: 10,

      init() {
        this.photo = petsong.keepsakes.get(petsong.page.session_id).photo;
        this.stage = petsong.text(`stage_${petsong.page.stage}`);
        this.step = STEPS[petsong.page.stage] || 0;
        this.onVisible = () => this.wake();
        document.addEventListener("visibilitychange", this.onVisible);
        window.addEventListener("online", this.onVisible);
        this.lateTimer = setTimeout(() => (this.late = true), LATE_AFTER * 1000);
        this.chatterTimer = setInterval(() => this.chat(), CHATTER * 1000);
        this.ask();
      },
      destroy() {
        this.stop();
        document.removeEventListener("visibilitychange", this.onVisible);
        window.removeEventListener("online", this.onVisible);
      },
      stop() {
        this.over = true;
        clearTimeout(this.timer);
        clearTimeout(this.lateTimer);
        clearInterval(this.chatterTimer);
      },

      get hasPhoto() {
        return this.photo !== "";
      },
      get askingText() {
        return this.asking ? "true" : "false";
      },
      get troubleText() {
        return this.trouble ? petsong.text("trouble") : "";
      },
      get lateClass() {
        return this.late ? "late" : "";
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
        if (document.hidden || this.over) return;
        this.ask();
      },
      // Small talk from the studio while the song is sung; it stands still with the record, and for readers of screens
      // there is the stage.
      chat() {
        if (this.step !== 1 || petsong.motion.paused || document.hidden) return;
        if (this.chatter && calm.matches) return; // one line, which stays
        const lines = petsong.page.texts.chatter;
        this.line = (this.line + 1) % lines.length;
        this.chatter = lines[this.line].replace("{pet_name}", () => petsong.page.pet_name);
      },
      async checkAgain() {
        this.checked = "";
        await this.ask();
        if (!this.over && !this.trouble) this.checked = petsong.text("checked", { time: new Date().toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" }) });
      },
      async ask() {
        if (this.asking || this.over) return;
        this.asking = true;
        clearTimeout(this.timer);
        const answer = await petsong.api("GET", petsong.page.status_path);
        this.asking = false;
        if (answer.status === 404) return this.vanish();
        if (answer.status === 410) return this.leave(); // deleted meanwhile: the result's page says so
        // Somebody in between may answer 200 with a page of their own.
        if (answer.status === 200 && typeof answer.body.status === "string") this.show(answer.body);
        else this.fail(answer);
      },
      show(body) {
        this.failures = 0;
        this.trouble = false;
        if (body.status === "success" || body.status === "fail") return this.leave();
        this.stage = petsong.text(`stage_${body.stage}`) || petsong.text("stage_generating");
        this.step = STEPS[body.stage] || 0;
        if (this.step !== 1) this.chatter = "";
        else if (!this.chatter) this.chat();
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
      leave() {
        this.stop();
        window.location.replace(petsong.page.result_path);
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
