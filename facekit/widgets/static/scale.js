// A photo of twelve megapixels is scaled down where it is: what travels is small, and stands upright.

const LONGEST = 1600; // pixels: more than the detector looks at
const MOST_BYTES = 1_000_000;

/**
 * The picture as an upright JPEG under a megabyte; null where this browser can't read it.
 * @param {File} file
 * @returns {Promise<Blob | null>}
 */
export async function scaledDown(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (!context) return null; // no memory for it
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  let small = null;
  for (const quality of [0.92, 0.85, 0.75, 0.6, 0.4]) {
    small = await /** @type {Promise<Blob | null>} */ (new Promise((done) => canvas.toBlob(done, "image/jpeg", quality)));
    if (!small || small.size < MOST_BYTES) break;
  }
  return small;
}
