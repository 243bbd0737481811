/* Words light up while they are sung: the captions' own cues and time stamps, read by the browser. */
"use strict";

(function (petsong) {
  const STAMP = /<(?:(\d+):)?(\d\d):(\d\d\.\d{3})>/;
  const AHEAD = 12; // words to look ahead where the text and what was sung differ

  const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  const decoded = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  /** A cue of the captions → [{text, start}], start in seconds. */
  function wordsOf(cue) {
    // split() with groups: text, hours, minutes, seconds, text, …
    const parts = cue.text.split(STAMP);
    const words = [];
    for (let at = 0, start = cue.startTime; at < parts.length; at += 4) {
      for (const text of parts[at].split(/\s+/).filter(Boolean)) words.push({ text: decoded(text), start });
      if (at + 3 < parts.length) start = Number(parts[at + 1] || 0) * 3600 + Number(parts[at + 2]) * 60 + Number(parts[at + 3]);
    }
    return words;
  }

  function span(text) {
    const element = document.createElement("span");
    element.className = "word";
    element.textContent = text;
    return element;
  }

  /** Each word of the printed lyrics in a span of its own. */
  function wrap(lyrics) {
    const spans = [];
    for (const line of lyrics.querySelectorAll("p")) {
      const pieces = line.textContent.split(/(\s+)/).map((piece) => (piece.trim() ? span(piece) : piece));
      line.replaceChildren(...pieces);
      spans.push(...pieces.filter((piece) => piece instanceof Element));
    }
    return spans;
  }

  /** Which printed word each sung word is; a sung word that is printed nowhere near has none. */
  function match(words, spans) {
    let next = 0;
    for (const word of words) {
      const wanted = plain(word.text);
      const found = spans.slice(next, next + AHEAD).findIndex((printed) => plain(printed.textContent) === wanted);
      if (!wanted || found < 0) continue;
      word.printed = spans[next + found];
      next += found + 1;
    }
  }

  class Singing {
    /** `line`: an empty element for what is sung now; `lyrics`: the printed text, or nothing. */
    constructor(video, cues, line, lyrics) {
      this.video = video;
      this.line = line;
      this.cues = cues.map((cue) => ({ start: cue.startTime, end: cue.endTime, words: wordsOf(cue) }));
      if (lyrics) match(this.cues.flatMap((cue) => cue.words), wrap(lyrics));
      this.shown = null;
      this.lit = null;
      for (const name of ["play", "seeked", "timeupdate"]) video.addEventListener(name, () => this.follow());
      this.follow();
    }

    // With every picture while it plays; where it stands still, once.
    follow() {
      cancelAnimationFrame(this.frame);
      this.show(this.video.currentTime);
      if (!this.video.paused && !this.video.ended) this.frame = requestAnimationFrame(() => this.follow());
    }

    show(time) {
      const cue = this.cues.find(({ start, end }) => time >= start && time < end) || null;
      if (cue !== this.shown) this.turnTo(cue);
      const word = cue ? cue.words.findLast(({ start }) => start <= time) || null : null;
      if (word !== this.lit) this.light(word);
    }

    turnTo(cue) {
      this.shown = cue;
      const words = cue ? cue.words : [];
      for (const word of words) word.sung = span(word.text);
      this.line.replaceChildren(...words.flatMap((word) => [word.sung, " "]));
    }

    light(word) {
      this.lit = word;
      for (const element of document.querySelectorAll(".word-now")) element.classList.remove("word-now");
      if (!word) return;
      for (const element of [word.sung, word.printed]) if (element) element.classList.add("word-now");
      const { words } = this.shown;
      for (const other of words) other.sung.classList.toggle("word-sung", words.indexOf(other) <= words.indexOf(word));
    }
  }

  /** Follow a video's captions once the browser has read them. */
  function sing(video, element, line, lyrics) {
    const { track } = element;
    // A disabled track is never loaded; a hidden one is read without being shown. Who wants captions switches them on.
    if (track.mode === "disabled") track.mode = "hidden";
    const begin = () => new Singing(video, Array.from(track.cues || []), line, lyrics);
    if (element.readyState === 2) begin();
    else element.addEventListener("load", begin, { once: true });
  }

  petsong.sing = sing;
})(window.petsong);
