/* The form: checks beside each field, the photo's crop, one paid song per filled-in form. */
"use strict";

(function (petsong) {
  const DRAFT = "petsong_draft";
  const TEXT_FIELDS = ["pet_name", "pet_type", "music_vibe", "owner_name", "pet_name_said", "owner_name_said"];
  const SAID = ["pet_name_said", "owner_name_said"];
  const ORDER = ["pet_name", "pet_type", "photo", "music_vibe", "owner_name", "pet_name_said", "owner_name_said"];

  const SOLD_OUT = "Sorry, we're all sold out!"; // how the API says it when there is no more to say
  const MISMATCH = "idempotency_mismatch";
  const WATCH = 8; // seconds between two looks whether songs are taken
  const { clean, problemOf } = petsong.checks;

  const isAccepted = ({ status, body }) => status === 200 && Boolean(body.session_id);
  const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

  function loadDraft() {
    try {
      return JSON.parse(sessionStorage.getItem(DRAFT)) || {};
    } catch (_damagedOrForbidden) {
      return {};
    }
  }

  function songForm() {
    // Outside the component's data: Alpine would wrap the cropper in proxies.
    let cropper = null;
    let cropAddress = "";
    let returnTo = null;
    // A retry sends the very same body, so that the server can answer it from the first; only a change after an
    // accepted answer begins a new song.
    let attempt = new petsong.Attempt();

    return {
      fields: Object.fromEntries(TEXT_FIELDS.map((name) => [name, ""])),
      photo: "",
      errors: Object.fromEntries(ORDER.map((name) => [name, ""])),
      sending: false,
      saidOpen: false,
      notice: "",
      soldOutTitle: petsong.text("sold_out_title"),
      soldOutText: petsong.text("sold_out_text"),
      openness: "open", // as the last look found it: open, busy, sold_out
      estimate: "",
      dragging: false,
      cropping: false,
      photoBusy: false,
      looking: false, // whether songs are taken

      init() {
        const draft = loadDraft();
        for (const name of TEXT_FIELDS) if (draft.fields && typeof draft.fields[name] === "string") this.fields[name] = draft.fields[name];
        if (typeof draft.photo === "string" && draft.photo.startsWith("data:image/jpeg;base64,")) this.photo = draft.photo;
        attempt = new petsong.Attempt(draft.attempt);
        this.saidOpen = SAID.some((name) => this.fields[name]);
        this.$watch("fields", () => this.saveDraft());
        if (petsong.session.isFull(petsong.page.limits.submissions)) this.showSoldOut(petsong.text("limit_reached"));
        this.onVisible = () => this.askAvailability();
        document.addEventListener("visibilitychange", this.onVisible);
        this.watch = setInterval(this.onVisible, WATCH * 1000);
        this.askAvailability();
      },
      destroy() {
        clearInterval(this.watch);
        document.removeEventListener("visibilitychange", this.onVisible);
      },
      restored(event) {
        // Back from the waiting page by the browser's button: the page as it was, sending long over.
        if (event.persisted) this.sending = false;
      },

      // What attributes refer to
      get hasPhoto() {
        return this.photo !== "";
      },
      get noPhoto() {
        return this.photo === "";
      },
      get dropClass() {
        return { "photo-drop-over": this.dragging, "photo-full": this.photo !== "" };
      },
      get photoStatus() {
        if (this.photoBusy) return petsong.text("photo_opening");
        return this.photo ? petsong.text("photo_chosen") : "";
      },
      get photoButton() {
        if (this.photoBusy) return petsong.text("photo_opening");
        return petsong.text(this.photo ? "photo_change" : "photo_add");
      },
      get submitLabel() {
        return petsong.text(this.sending ? "sending" : "submit");
      },
      get sendingText() {
        return this.sending ? "true" : "false";
      },
      get saidText() {
        return this.saidOpen ? "true" : "false";
      },
      // `hidden` rather than x-show: that shows a frame later, when the focus has already missed its field.
      get saidClosed() {
        return !this.saidOpen;
      },
      get photoInvalid() {
        return this.errors.photo ? "true" : "false";
      },
      control: {
        ["x-on:input"](event) {
          // The model may be written after this handler: judge by the field itself.
          const { name, value } = event.target;
          if (this.errors[name]) this.errors[name] = problemOf(name, clean(value));
        },
        ["x-on:blur"]() {
          const name = this.$el.name;
          if (this.fields[name]) this.check(name);
        },
        ["x-bind:aria-invalid"]() {
          return this.errors[this.$el.name] ? "true" : "false";
        },
      },
      choice: {
        ["x-on:change"](event) {
          this.errors[event.target.name] = problemOf(event.target.name, event.target.value);
        },
        ["x-bind:aria-invalid"]() {
          return this.errors[this.$el.dataset.field] ? "true" : "false";
        },
      },
      problem: {
        ["x-text"]() {
          return this.errors[this.$el.dataset.field];
        },
      },
      toggleSaid() {
        this.saidOpen = !this.saidOpen;
        if (this.saidOpen) this.$nextTick(() => this.$refs.pet_name_said.focus());
      },

      check(name) {
        this.errors[name] = name === "photo" ? (this.photo ? "" : petsong.text("photo_required")) : problemOf(name, clean(this.fields[name]));
        return this.errors[name] === "";
      },
      focusFirstProblem() {
        const name = ORDER.find((field) => this.errors[field]);
        if (!name) return;
        if (SAID.includes(name)) this.saidOpen = true;
        this.$nextTick(() => {
          const control = this.$root.querySelector(`[name="${name}"]`);
          control.focus();
          control.closest(".field").scrollIntoView({ block: "nearest" });
        });
      },
      saveDraft() {
        try {
          sessionStorage.setItem(DRAFT, JSON.stringify({ fields: this.fields, photo: this.photo, attempt }));
        } catch (_fullOrForbidden) {
          // The draft only helps after a reload.
        }
      },

      // Photo
      async picked(event) {
        await this.openPhoto(event.target.files[0]);
        event.target.value = ""; // so that the same file can be picked again
      },
      dragOver() {
        this.dragging = true;
      },
      dragLeave() {
        this.dragging = false;
      },
      async dropped(event) {
        this.dragging = false;
        await this.openPhoto(event.dataTransfer.files[0]);
      },
      async openPhoto(file) {
        if (!file || this.photoBusy) return;
        this.errors.photo = "";
        this.photoBusy = true;
        try {
          this.startCrop(await petsong.photo.prepare(file));
        } catch (problem) {
          if (!(problem instanceof petsong.photo.PhotoProblem)) console.warn("photo", problem);
          this.errors.photo = problem instanceof petsong.photo.PhotoProblem ? problem.message : petsong.text("photo_unreadable");
        } finally {
          this.photoBusy = false;
        }
      },
      startCrop(address) {
        const image = this.$refs.cropImage;
        this.cropping = true;
        cropAddress = address;
        this.$refs.cropDialog.showModal();
        image.onload = () => {
          image.onload = null;
          cropper = new petsong.photo.PhotoCropper(image, (percent) => (this.$refs.zoom.value = percent));
        };
        image.src = address;
      },
      zoomed(event) {
        if (cropper) cropper.zoomTo(Number(event.target.value));
      },
      moved(event) {
        const steps = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] };
        if (!cropper || !(event.key in steps)) return;
        event.preventDefault();
        cropper.move(...steps[event.key]);
      },
      acceptCrop() {
        if (!cropper) return;
        this.photo = cropper.result();
        this.errors.photo = "";
        this.saveDraft();
        this.$refs.cropDialog.close();
      },
      cancelCrop() {
        this.$refs.cropDialog.close();
      },
      // Runs on every way out of the dialog, Escape too; the earlier photo stays when nothing was accepted.
      endCrop() {
        if (cropper) cropper.destroy();
        cropper = null;
        if (cropAddress) URL.revokeObjectURL(cropAddress);
        cropAddress = "";
        this.cropping = false;
        this.$refs.photoInput.focus();
      },

      // Sending
      async submit() {
        if (this.sending) return;
        if (petsong.session.isFull(petsong.page.limits.submissions)) return this.showSoldOut(petsong.text("limit_reached"));
        const good = ORDER.map((name) => this.check(name));
        if (good.includes(false)) return this.focusFirstProblem();
        this.sending = true;
        const tried = this.nextTry();
        const answer = await attempt.send(tried);
        if (isAccepted(answer)) return this.accepted(answer.body, tried);
        const told = answer.body.code === MISMATCH ? await this.collectEarlier(answer) : answer;
        this.sending = false;
        this.refused(told);
      },
      nextTry() {
        const values = Object.fromEntries(TEXT_FIELDS.map((name) => [name, clean(this.fields[name])]));
        const form = JSON.stringify({ ...values, photo: this.photo });
        if (attempt.accepted && !attempt.find(form)) attempt = new petsong.Attempt();
        const tried = attempt.note(form);
        this.saveDraft();
        return tried;
      },
      // An earlier version of this form was accepted although its answer got lost: sent again as it was, it gets that
      // answer. Sending the changed one would make a second song: only the visitor's next click may do that.
      async collectEarlier(refusal) {
        for (const tried of attempt.tries) {
          const answer = await attempt.send(tried);
          if (answer.body.code === MISMATCH) continue;
          if (!isAccepted(answer)) return answer; // the retry comes here again
          await this.remember(answer.body, tried);
          break;
        }
        attempt = new petsong.Attempt();
        this.saveDraft();
        return refusal;
      },
      async accepted(body, tried) {
        attempt.accept(tried);
        await this.remember(body, tried);
        try {
          sessionStorage.removeItem(DRAFT);
        } catch (_forbidden) {
          // Then there is none.
        }
        window.location.assign(petsong.page.waiting_path + encodeURIComponent(body.session_id) + petsong.page.query);
      },
      async remember({ session_id, cookie_id }, { form }) {
        petsong.session.add(session_id, cookie_id);
        const { photo, pet_name } = JSON.parse(form);
        try {
          const small = await petsong.photo.shrink(photo, 360);
          petsong.keepsakes.put(session_id, { photo: small, pet_name }, petsong.page.limits.submissions);
        } catch (problem) {
          console.warn("keepsake", problem); // the waiting page shows the neutral record then
        }
        window.dispatchEvent(new CustomEvent("songs"));
      },
      refused({ status, body, retryAfter }) {
        const code = body.code || "";
        if (code === "rate_limit_exceeded") return this.showSoldOut(petsong.text("limit_reached"));
        if (code === "sold_out") {
          this.openness = "sold_out"; // said now: the next look need not say it again
          return this.showClosed(body);
        }
        if (code === "validation_failed") return this.showFields(body);
        if (code === "invalid_image" || status === 413) {
          this.errors.photo = petsong.text("photo_format");
          return this.focusFirstProblem();
        }
        if (code === MISMATCH) return petsong.toast(petsong.text("already_received"));
        petsong.toast(this.reason(status, code, body, retryAfter), { retry: true });
      },
      reason(status, code, body, retryAfter) {
        if (status === 0) return petsong.text("no_answer");
        // Busy for minutes has its own words in the message; a short absence is worth naming.
        if (code === "busy") return petsong.served(body.message, "busy");
        const wait = retryAfter ? petsong.text("try_again_in", { time: petsong.duration(retryAfter) }) : "";
        const what = status === 429 ? petsong.text("too_many") : petsong.served(body.message, status === 503 ? "unavailable" : "server_error");
        return wait ? `${sentence(what)} ${wait}` : what;
      },
      showFields(body) {
        const fields = body.fields && typeof body.fields === "object" ? body.fields : {};
        let shown = false;
        for (const [name, message] of Object.entries(fields)) {
          if (!(name in this.errors)) continue;
          // In the page's own words where they see it, too.
          const own = name === "photo" ? "" : problemOf(name, clean(this.fields[name]));
          this.errors[name] = own || petsong.served(String(message), name === "photo" ? "photo_format" : "not_taken");
          shown = true;
        }
        if (shown) this.focusFirstProblem();
        else petsong.toast(petsong.served(body.message, "server_error"), { retry: true });
      },

      // Open, busy, sold out
      async askAvailability() {
        if (document.hidden || this.looking) return;
        this.looking = true;
        const { status, body } = await petsong.api("GET", petsong.page.availability_path);
        this.looking = false;
        if (status !== 200) return;
        const found = body.open === false ? body.reason || "sold_out" : "open";
        const { high } = body.estimated_seconds && typeof body.estimated_seconds === "object" ? body.estimated_seconds : { high: body.estimated_seconds };
        this.estimate = found === "open" && high > 0 ? petsong.text("estimate", { time: petsong.duration(high) }) : "";
        this.notice = found === "busy" ? petsong.served(body.message, "busy") : "";
        // Said once: who closes it may go on reading.
        if (found === "sold_out" && this.openness !== "sold_out") this.showClosed(body);
        if (found !== "sold_out" && this.openness === "sold_out") this.closeSoldOut();
        this.openness = found;
      },
      // The title says it already; a campaign that is closed or not yet open has more to say.
      showClosed(body) {
        const opens = new Date(body.opens_at || NaN);
        const later = !Number.isNaN(opens.getTime());
        if (later) this.showSoldOut(petsong.text("opens_at", { time: petsong.moment(opens, "long") }), petsong.text("opens_title"));
        else this.showSoldOut(this.whySoldOut(String(body.message || "")));
      },
      whySoldOut(message) {
        if (message.startsWith(SOLD_OUT)) return "";
        // The campaign's own words are known in the visitor's language; those of an operator are as they are.
        if (message && message !== petsong.text("closed_served")) return message;
        return petsong.text("closed") || petsong.served(message, "sold_out_text");
      },
      showSoldOut(text, title) {
        this.soldOutTitle = title || petsong.text("sold_out_title");
        this.soldOutText = text || petsong.text("sold_out_text");
        const dialog = this.$refs.soldOut;
        if (dialog.open) return;
        // At page load nothing has focus yet: closing then leads to the top of the page.
        returnTo = document.activeElement === document.body ? this.$refs.heading : document.activeElement;
        dialog.showModal();
      },
      closeSoldOut() {
        this.$refs.soldOut.close();
      },
      soldOutClosed() {
        returnTo.focus();
      },
    };
  }

  document.addEventListener("alpine:init", () => Alpine.data("songForm", songForm));
})(window.petsong);
