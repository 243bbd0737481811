/* The song is there: play it, share it, with the file itself where the browser can. */
"use strict";

(function (petsong) {
  const PATIENCE = 30000; // ms for the file, before the link is shared instead
  const BEGINS_WITHIN = 1000; // ms from the scripts' start until a video that has a file is loading

  function share() {
    return {
      possible: typeof navigator.share === "function",
      state: "idle", // idle, preparing, ready (the file, or the link without it, waits for a click)
      hint: "",
      file: null,

      get label() {
        return petsong.text({ idle: "share", preparing: "share_preparing", ready: "share_ready" }[this.state]);
      },
      get busy() {
        return this.state === "preparing" ? "true" : "false";
      },
      async share() {
        if (this.state === "preparing") return;
        if (this.state === "idle" && !this.file) {
          await this.fetchFile();
          // A browser shares only shortly after a click, and fetching may have taken longer than that.
          if (navigator.userActivation && !navigator.userActivation.isActive) {
            this.state = "ready";
            return;
          }
        }
        await this.send();
      },
      async fetchFile() {
        const probe = new File([""], "song.mp4", { type: "video/mp4" });
        if (!navigator.canShare || !navigator.canShare({ files: [probe] })) return;
        this.state = "preparing";
        try {
          const response = await fetch(petsong.page.video_path, { signal: AbortSignal.timeout(PATIENCE) });
          if (response.ok) this.file = new File([await response.blob()], petsong.page.file_name, { type: "video/mp4" });
        } catch (_unreachable) {
          // The link is shared instead.
        } finally {
          this.state = "idle";
        }
      },
      async send() {
        const { title, text, url } = petsong.page.share;
        try {
          await navigator.share(this.file ? { title, text: `${text} ${url}`, files: [this.file] } : { title, text, url });
          this.state = "idle";
        } catch (problem) {
          // AbortError: the visitor closed the sheet. Anything else: one more click, now with everything at hand.
          this.state = this.file && problem.name === "NotAllowedError" ? "ready" : "idle";
          if (problem.name !== "AbortError" && this.state === "idle") petsong.toast(petsong.text("share_failed"));
        }
      },
      showHint(event) {
        this.hint = event.currentTarget.dataset.hint;
      },
    };
  }

  function player() {
    return {
      broken: false,
      init() {
        const { video, track, singing, lyrics } = this.$refs;
        // Its error may have come before this page's scripts did; a video that only begins to load looks the same for a moment.
        setTimeout(() => (this.broken ||= video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE), BEGINS_WITHIN);
        if (track && singing) petsong.sing(video, track, singing, lyrics);
      },
      failed() {
        this.broken = true;
      },
    };
  }

  document.addEventListener("alpine:init", () => {
    Alpine.data("share", share);
    Alpine.data("player", player);
  });
})(window.petsong);
