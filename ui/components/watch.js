// The app cannot say that it is gone; the page notices by itself, and says so until it is back.
const note = element.querySelector('.mf-offline-note');
const address = (window.gradio_config?.root ?? '') + '/gradio_api/app_id';
async function look() {
  let there = navigator.onLine;
  try {
    if (there) there = (await fetch(address, { cache: 'no-store' })).status < 500;
  } catch {
    there = false;
  }
  note.hidden = there;
}
window.addEventListener('offline', look);
window.addEventListener('online', look);
setInterval(look, 10000);
