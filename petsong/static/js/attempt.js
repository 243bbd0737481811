/* A filled-in form on its way to the server: sent as often as it takes, for one song. */
"use strict";

(function (petsong) {
  const PATIENCE = 60000; // ms for one answer

  function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** One key per filled-in form: a repeat gets the first answer again, another form under the same key a mismatch. */
  class Attempt {
    /** `draft`: what an earlier visit has kept of one, or nothing. */
    constructor(draft) {
      const { key, tries, accepted } = draft || {};
      const usable = typeof key === "string" && Array.isArray(tries);
      this.key = usable ? key : newKey();
      this.tries = usable ? tries : []; // [{form, cookie}]: sent under this key, and not refused as far as is known
      this.accepted = usable && accepted === true;
    }

    find(form) {
      return this.tries.find((tried) => tried.form === form);
    }

    /** Note a form (JSON without cookie_id), before it is sent. */
    note(form) {
      // The cookie id of a form's first try stays in its retries: another body would be another order.
      const tried = this.find(form) || { form, cookie: petsong.session.cookieId };
      if (!this.tries.includes(tried)) this.tries.push(tried);
      return tried;
    }

    /** As petsong.api answers. */
    async send(tried) {
      const answer = await petsong.api("POST", petsong.page.submit_path, {
        body: JSON.stringify({ ...JSON.parse(tried.form), cookie_id: tried.cookie }),
        headers: { "Idempotency-Key": this.key },
        timeout: PATIENCE,
      });
      // Our own refusal is certain; after no answer, or that of a machine in between, it may have been accepted.
      const refused = answer.status >= 400 && answer.status < 500 && answer.body.code;
      if (refused) this.tries = this.tries.filter((other) => other !== tried);
      return answer;
    }

    /** It made a song: a changed form makes another one. */
    accept(tried) {
      this.accepted = true;
      this.tries = [tried];
    }
  }

  petsong.Attempt = Attempt;
})(window.petsong);
