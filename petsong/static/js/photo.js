/* A visitor's file → an upright photo of bearable size → a 600x600 JPEG chosen with Cropper.js. */
"use strict";

(function (petsong) {
  const SIDE = 600; // what is sent
  const LEAST = 400; // what the server takes, and the smallest part of a photo that still looks good enlarged
  const LARGEST = 2048; // larger photos are shrunk before cropping: phones run out of memory otherwise

  class PhotoProblem extends Error {}

  async function isJpegOrPng(file) {
    const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
    const starts = (...bytes) => bytes.every((byte, at) => head[at] === byte);
    return starts(0xff, 0xd8, 0xff) || starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  }

  async function decode(file) {
    const address = URL.createObjectURL(file);
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
      return image;
    } catch (_broken) {
      throw new PhotoProblem(petsong.text("photo_unreadable"));
    } finally {
      // The decoded picture stays usable; only the address goes.
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    }
  }

  // Drawn on white, upright (browsers apply the camera's orientation when drawing) and at most LARGEST wide or high,
  // though never so small that its short side would fall under what is sent.
  function redraw(image) {
    const { naturalWidth: width, naturalHeight: height } = image;
    const scale = Math.min(1, Math.max(LARGEST / Math.max(width, height), SIDE / Math.min(width, height)));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  /** File → address (blob:) of a picture ready for cropping. Throws PhotoProblem with a text for the visitor. */
  async function prepare(file) {
    if (!(await isJpegOrPng(file))) throw new PhotoProblem(petsong.text("photo_format"));
    const image = await decode(file);
    if (Math.min(image.naturalWidth, image.naturalHeight) < LEAST) throw new PhotoProblem(petsong.text("photo_small"));
    const blob = await new Promise((done) => redraw(image).toBlob(done, "image/jpeg", 0.92));
    if (!blob) throw new PhotoProblem(petsong.text("photo_unreadable"));
    return URL.createObjectURL(blob);
  }

  /** The photo (a data: address) again with `side` pixels, as a data: address. */
  async function shrink(photo, side) {
    const image = new Image();
    image.src = photo;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, 0, 0, side, side);
    return canvas.toDataURL("image/jpeg", 0.8);
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
