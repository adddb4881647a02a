// A picture from the camera, where the page may use it: there is one, and the address is secure.
import { el, say, watch } from "./shared.js";

/**
 * A button that opens a dialog with the camera's picture; `taken` gets a file, `failed` the key of a text.
 * @param {import("./types").Model} model
 * @param {import("./types").Signal} signal
 * @param {(file: File) => void} taken
 * @param {(key: string) => void} failed
 */
export function camera(model, signal, taken, failed) {
  const video = el("video", { ".muted": true, ".playsInline": true, ".autoplay": true });
  const shoot = el("button", { type: "button", class: "fk-primary", autofocus: true });
  const cancel = el("button", { type: "button", onclick: () => dialog.close() });
  const dialog = el("dialog", { class: "fk-camera" }, video, el("div", { class: "fk-row" }, shoot, cancel));
  const button = el("button", { type: "button", onclick: open });
  /** @type {MediaStream | null} */
  let stream = null;
  let turn = 0; // grows when the camera is let go: what was asked for before is not wanted any more
  button.hidden = !(window.isSecureContext && navigator.mediaDevices?.getUserMedia);

  function stop() {
    turn += 1;
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
  }

  async function open() {
    const mine = turn;
    shoot.disabled = true;
    dialog.showModal();
    try {
      const asked = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1600 } }, audio: false });
      if (mine !== turn) { // closed, or the whole widget gone, while the person was asked
        asked.getTracks().forEach((track) => track.stop());
        return;
      }
      stream = asked;
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
      shoot.focus();
    } catch {
      if (mine !== turn) return;
      dialog.close();
      failed("uploader.refused.camera");
    }
  }

  shoot.addEventListener("click", () => {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    const context = canvas.getContext("2d");
    if (!context) return; // no memory for it
    context.drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      if (blob) taken(new File([blob], say(model, "uploader.snapshot"), { type: blob.type }));
    }, "image/jpeg", 0.92);
  });
  dialog.addEventListener("close", stop);
  signal?.addEventListener("abort", stop);
  watch(model, ["language"], () => {
    button.textContent = say(model, "uploader.camera");
    shoot.textContent = say(model, "uploader.shoot");
    cancel.textContent = say(model, "uploader.cancel");
    dialog.setAttribute("aria-label", button.textContent);
    video.setAttribute("aria-label", say(model, "uploader.live"));
  }, signal);
  return { button, dialog };
}
