/* A visitor's file → an upright photo of bearable size → a 600x600 JPEG chosen with Cropper.js. */
"use strict";

(function (petsong) {
  const SIDE = 600; // what is sent
  const LEAST = 400; // what the server takes, and the smallest part of a photo that still looks good enlarged
  const LARGEST = 2048; // larger photos are shrunk before cropping: phones run out of memory otherwise
  const MOST_PIXELS = 120e6; // four bytes each while a browser decodes it

  class PhotoProblem extends Error {}

  // At most LARGEST wide or high, though never so small that the short side would fall under what is sent.
  function scaleOf(width, height) {
    return Math.min(1, Math.max(LARGEST / Math.max(width, height), SIDE / Math.min(width, height)));
  }

  function refuse(key) {
    throw new PhotoProblem(petsong.text(key));
  }

  /** File → address (blob:) of a picture ready for cropping. Throws PhotoProblem with a text for the visitor. */
  async function prepare(file) {
    const known = await petsong.picture.facts(file);
    if (!known.kind) refuse("photo_format");
    if (known.width * known.height > MOST_PIXELS) refuse("photo_huge");
    const canvas = await petsong.picture.small(file, known, scaleOf).catch(() => refuse("photo_unreadable"));
    const whole = known.width ? known : canvas; // what is shrunk was large
    if (Math.min(whole.width, whole.height) < LEAST) refuse("photo_small");
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    canvas.width = canvas.height = 0;
    return blob ? URL.createObjectURL(blob) : refuse("photo_unreadable");
  }

  /** The photo (a data: address) again with `side` pixels, as a data: address. */
  async function shrink(photo, side) {
    const image = new Image();
    image.src = photo;
    await image.decode();
    return petsong.picture.drawn(image, side, side).toDataURL("image/jpeg", 0.8);
  }

  /** The photo moves and grows under a fixed square: a frame is easier to hit than corners with a thumb. */
  class PhotoCropper {
    /** `onZoom(percent)` is called with 0-100 whenever the size changes. */
    constructor(image, onZoom) {
      this.onZoom = onZoom;
      this.cropper = new Cropper(image, {
        viewMode: 3,
        aspectRatio: 1,
        autoCropArea: 1,
        dragMode: "move",
        cropBoxMovable: false,
        cropBoxResizable: false,
        toggleDragModeOnDblclick: false,
        guides: false,
        center: false,
        background: false,
        checkOrientation: false, // it is upright already, and asking for it would be a request that the CSP forbids
        checkCrossOrigin: false,
        ready: () => onZoom(0),
        zoom: (event) => this.limit(event),
      });
    }

    // From "covers the frame" to "the frame holds LEAST pixels of the photo".
    get ratios() {
      const frame = this.cropper.getContainerData().width;
      const { naturalWidth, naturalHeight } = this.cropper.getImageData();
      const least = frame / Math.min(naturalWidth, naturalHeight);
      return { least, most: Math.max(least, frame / LEAST) };
    }

    limit(event) {
      const { least, most } = this.ratios;
      if (event.detail.ratio > most * 1.001) {
        event.preventDefault();
        if (event.detail.oldRatio < most * 0.999) this.cropper.zoomTo(most);
        return;
      }
      const range = most - least;
      this.onZoom(range > 0 ? Math.round(Math.min(100, Math.max(0, ((event.detail.ratio - least) / range) * 100))) : 0);
    }

    zoomTo(percent) {
      const { least, most } = this.ratios;
      this.cropper.zoomTo(least + ((most - least) * percent) / 100);
    }

    move(x, y) {
      this.cropper.move(x, y);
    }

    result() {
      const canvas = this.cropper.getCroppedCanvas({ width: SIDE, height: SIDE, fillColor: "#fff", imageSmoothingQuality: "high" });
      return canvas.toDataURL("image/jpeg", 0.9);
    }

    destroy() {
      this.cropper.destroy();
    }
  }

  petsong.photo = { prepare, shrink, PhotoCropper, PhotoProblem };
})(window.petsong);
