/* What this browser remembers: who it is (cookie_id), its songs, and a small picture for each. */
"use strict";

(function (petsong) {
  const KEY = "submission_data";
  const KEEPSAKES = "petsong_keepsakes";
  const memory = {}; // where storage is forbidden the visit itself still works

  function read(key) {
    let text = null;
    try {
      text = localStorage.getItem(key);
    } catch (_forbidden) {
      text = memory[key] || null;
    }
    try {
      const value = JSON.parse(text);
      return value && typeof value === "object" ? value : {};
    } catch (_damaged) {
      return {};
    }
  }

  function write(key, value) {
    const text = JSON.stringify(value);
    memory[key] = text;
    try {
      localStorage.setItem(key, text);
      return true;
    } catch (_fullOrForbidden) {
      return false;
    }
  }

  const DAY = 86400e3; // ms

  // A song that the site no longer keeps neither counts nor is listed. A page that does not say for how long shows all.
  function isOver(timestamp) {
    const { retention_days: days } = petsong.page.limits || {};
    return days > 0 && Date.now() - Date.parse(timestamp) > days * DAY;
  }

  const isId = (value) => typeof value === "string" && /^[a-z0-9]{2,64}$/i.test(value);

  /** localStorage["submission_data"] = {cookie_id, entries: [{session_id, timestamp}]}; checked at each reading. */
  class SessionManager {
    load() {
      const found = read(KEY);
      const entries = Array.isArray(found.entries) ? found.entries : [];
      return {
        cookie_id: typeof found.cookie_id === "string" ? found.cookie_id : null,
        entries: entries.filter((entry) => entry && isId(entry.session_id) && !isOver(entry.timestamp)),
      };
    }

    get cookieId() {
      return this.load().cookie_id;
    }

    get entries() {
      return this.load().entries;
    }

    isFull(limit) {
      return this.entries.length >= limit;
    }

    /** Remember an accepted submission; the same one twice (a repeated answer) is one entry. */
    add(sessionId, cookieId) {
      const data = this.load();
      if (typeof cookieId === "string" && cookieId) data.cookie_id = cookieId;
      if (isId(sessionId) && !data.entries.some((entry) => entry.session_id === sessionId)) {
        data.entries.push({ session_id: sessionId, timestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z") });
      }
      write(KEY, data);
    }

    /** Forget a song that was deleted. */
    remove(sessionId) {
      const data = this.load();
      data.entries = data.entries.filter((entry) => entry.session_id !== sessionId);
      write(KEY, data);
    }
  }

  /** The cropped photo (small) and the pet's name per song: they never leave this browser. */
  const keepsakes = {
    get(sessionId) {
      const found = read(KEEPSAKES)[sessionId];
      if (!found || typeof found !== "object") return { photo: "", pet_name: "" };
      const photo = String(found.photo || "");
      return { photo: photo.startsWith("data:image/jpeg;base64,") ? photo : "", pet_name: String(found.pet_name || "") };
    },
    put(sessionId, keepsake, keep) {
      const all = Object.entries(read(KEEPSAKES)).filter(([id]) => id !== sessionId);
      all.push([sessionId, keepsake]);
      // When the storage is full the oldest make room; without any room the neutral record is shown.
      for (let kept = all.slice(-keep); kept.length > 0; kept = kept.slice(1)) {
        if (write(KEEPSAKES, Object.fromEntries(kept))) return;
      }
    },
    remove(sessionId) {
      write(KEEPSAKES, Object.fromEntries(Object.entries(read(KEEPSAKES)).filter(([id]) => id !== sessionId)));
    },
  };

  petsong.session = new SessionManager();
  petsong.keepsakes = keepsakes;

  function songOf(entry) {
    const keepsake = keepsakes.get(entry.session_id);
    const when = new Date(entry.timestamp);
    const date = Number.isNaN(when.getTime()) ? "" : petsong.moment(when, "medium");
    const name = keepsake.pet_name ? petsong.text("song_for", { pet_name: keepsake.pet_name }) : petsong.text("song");
    const href = petsong.page.result_path + encodeURIComponent(entry.session_id) + petsong.page.query;
    return { id: entry.session_id, href, name, date, photo: keepsake.photo || petsong.page.label };
  }

  document.addEventListener("alpine:init", () => {
    Alpine.data("yourSongs", () => ({
      songs: [],
      init() {
        this.refresh();
        this.onStorage = (event) => event.key === KEY && this.refresh();
        this.onSongs = () => this.refresh();
        window.addEventListener("storage", this.onStorage);
        window.addEventListener("songs", this.onSongs);
      },
      destroy() {
        window.removeEventListener("storage", this.onStorage);
        window.removeEventListener("songs", this.onSongs);
      },
      get any() {
        return this.songs.length > 0;
      },
      refresh() {
        this.songs = petsong.session.entries.map(songOf).reverse();
      },
    }));
  });
})(window.petsong);
