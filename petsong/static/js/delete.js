/* "Delete my song": offered by the browser that made it, which alone can prove so. */
"use strict";

(function (petsong) {
  const DELETED = 200;
  const NOT_MINE = 404;

  function deleteSong() {
    return {
      mine: false,
      busy: false,
      problem: "",

      init() {
        const songs = petsong.session.entries.map((entry) => entry.session_id);
        this.mine = Boolean(petsong.session.cookieId) && songs.includes(petsong.page.session_id);
      },
      get busyText() {
        return this.busy ? "true" : "false";
      },
      ask() {
        this.problem = "";
        this.$refs.dialog.showModal();
      },
      keep() {
        this.$refs.dialog.close();
      },
      async erase() {
        if (this.busy) return;
        this.busy = true;
        this.problem = "";
        const body = JSON.stringify({ cookie_id: petsong.session.cookieId });
        const { status } = await petsong.api("POST", petsong.page.erase_path, { body });
        this.busy = false;
        if (status === DELETED) {
          petsong.session.remove(petsong.page.session_id);
          petsong.keepsakes.remove(petsong.page.session_id);
          window.location.reload(); // says that the song is gone, as it does to everybody now
        } else {
          this.problem = petsong.text(status === NOT_MINE ? "erase_foreign" : "erase_failed");
        }
      },
    };
  }

  document.addEventListener("alpine:init", () => Alpine.data("deleteSong", deleteSong));
})(window.petsong);
