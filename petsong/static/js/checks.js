/* What a form must say, before it is sent. The server checks again and has the last word; these say early what it would say. */
"use strict";

(function (petsong) {
  const NAMES = ["pet_name", "owner_name"];

  // Phones type ’ for '; where the campaign takes neither, it stays to be refused.
  const straight = (text) => (petsong.page.limits.name_extra.includes("'") ? text.replace(/’/gu, "'") : text);
  const clean = (text) => straight(text.normalize("NFC").trim().replace(/\s+/gu, " "));
  const escaped = (characters) => characters.replace(/[\\\]^-]/g, "\\$&");
  const only = (extra) => new RegExp(`^[\\p{L}\\p{M} ${escaped(extra)}]+$`, "u");

  function problemOfChoice(field, value) {
    if (petsong.page.choices[field].includes(value)) return "";
    return petsong.text("one_of", { choices: petsong.page.choice_labels[field].join(", ") });
  }

  function problemOfName(field, value) {
    const { name_min, name_max, name_extra } = petsong.page.limits;
    if (!value) return petsong.text(`required_${field}`);
    const length = Array.from(value).length;
    if (length < name_min || length > name_max) return petsong.text("length", { min: name_min, max: name_max });
    const extra = Array.from(name_extra).join(" ");
    return only(name_extra).test(value) ? "" : petsong.text(extra ? "letters_extra" : "letters", { extra });
  }

  function problemOfSaid(value) {
    const { said_min, said_max } = petsong.page.limits;
    if (!value) return "";
    const length = Array.from(value).length;
    if (length < said_min || length > said_max) return petsong.text("length", { min: said_min, max: said_max });
    return only("'’-").test(value) ? "" : petsong.text("letters_said");
  }

  /** What is wrong with a cleaned value, as a text for the visitor; "" where nothing is. */
  function problemOf(field, value) {
    if (field in petsong.page.choices) return problemOfChoice(field, value);
    return NAMES.includes(field) ? problemOfName(field, value) : problemOfSaid(value);
  }

  petsong.checks = { clean, problemOf };
})(window.petsong);
