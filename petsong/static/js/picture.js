/* A picture file of any size → a small upright canvas, without ever holding more of it than needed. */
"use strict";

(function (petsong) {
  const HEAD = 256 * 1024; // bytes in which a camera's size and orientation stand
  const STEP = 4096; // the longest side of a canvas on the way down: some phones allow no more than 16 megapixels

  // Sizes of a PNG, from its first chunk.
  function pngFacts(view) {
    return { width: view.getUint32(16), height: view.getUint32(20), turned: false };
  }

  // Sizes and orientation of a JPEG, from its segments. null where they end before the picture begins.
  function jpegFacts(view) {
    let turned = false;
    for (let at = 2; at + 9 < view.byteLength; ) {
      if (view.getUint8(at) !== 0xff) return null;
      const marker = view.getUint8(at + 1);
      const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
      if (frame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5), turned };
      if (marker === 0xe1) turned = turned || isTurned(view, at + 4);
      at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
    }
    return null;
  }

  // Whether EXIF says that the camera was held upright: width and height change places then (orientations 5 to 8).
  function isTurned(view, start) {
    const tiff = start + 6;
    if (tiff + 8 > view.byteLength || view.getUint32(start) !== 0x45786966) return false;
    const little = view.getUint16(tiff) === 0x4949;
    const list = tiff + view.getUint32(tiff + 4, little);
    if (list + 2 > view.byteLength) return false;
    for (let entry = list + 2; entry + 12 <= Math.min(view.byteLength, list + 2 + 12 * view.getUint16(list, little)); entry += 12) {
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little) >= 5;
    }
    return false;
  }

  /** {kind, width, height} as the picture is shown, from its first bytes; kind "" is neither JPEG nor PNG. Sizes may be 0: unknown. */
  async function facts(file) {
    const view = new DataView(await file.slice(0, HEAD).arrayBuffer());
    const starts = (...bytes) => bytes.every((byte, at) => at < view.byteLength && view.getUint8(at) === byte);
    const kind = starts(0xff, 0xd8, 0xff) ? "jpeg" : starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a) ? "png" : "";
    const found = (kind === "jpeg" && jpegFacts(view)) || (kind === "png" && view.byteLength > 24 && pngFacts(view)) || { width: 0, height: 0 };
    return found.turned ? { kind, width: found.height, height: found.width } : { kind, width: found.width, height: found.height };
  }

  // The browser decodes and shrinks in one go, away from the page. null where it cannot, or forgets the orientation.
  async function shrunk(file, { width, height }, scale) {
    if (!window.createImageBitmap || !width || scale >= 1) return null;
    try {
      const options = { imageOrientation: "from-image", resizeWidth: Math.round(width * scale), resizeQuality: "high" };
      const bitmap = await createImageBitmap(file, options);
      if (bitmap.width > bitmap.height === width > height) return bitmap;
      bitmap.close();
    } catch (_unsupportedOrBroken) {
      // The image element has the last word.
    }
    return null;
  }

  async function decoded(file) {
    const address = URL.createObjectURL(file);
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
      return image;
    } finally {
      // The decoded picture stays usable; only the address goes.
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    }
  }

  function drawn(source, width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width));
    canvas.height = Math.max(1, Math.round(height));
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(source, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  // By halves: one big step would skip pixels and flicker with fur.
  function stepped(image, scale) {
    const { naturalWidth: width, naturalHeight: height } = image;
    let at = Math.min(1, STEP / Math.max(width, height));
    let canvas = drawn(image, width * Math.max(at, scale), height * Math.max(at, scale));
    while (at / 2 > scale) {
      at /= 2;
      const smaller = drawn(canvas, width * at, height * at);
      canvas.width = canvas.height = 0; // frees its memory now, not some time
      canvas = smaller;
    }
    return canvas.width > width * scale + 1 ? drawn(canvas, width * scale, height * scale) : canvas;
  }

  /** The picture upright on white. `scaleOf(width, height)` says how much of it is wanted. Rejects where it cannot be opened. */
  async function small(file, known, scaleOf) {
    const bitmap = known.width ? await shrunk(file, known, scaleOf(known.width, known.height)) : null;
    if (bitmap) {
      const rest = scaleOf(bitmap.width, bitmap.height);
      const canvas = drawn(bitmap, bitmap.width * rest, bitmap.height * rest);
      bitmap.close();
      return canvas;
    }
    const image = await decoded(file);
    const canvas = stepped(image, scaleOf(image.naturalWidth, image.naturalHeight));
    image.src = "";
    return canvas;
  }

  petsong.picture = { facts, small, drawn };
})(window.petsong);
